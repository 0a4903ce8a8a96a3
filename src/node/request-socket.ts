/**
 * The socket below the request and response of one HTTP exchange. Node's own classes work on it as on a connection:
 * what ServerResponse writes (the text of a head, then the body) is taken apart here and goes to the server as a head and
 * blocks; reading is switched on and off by resume() and pause(), as IncomingMessage does.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { NwsgiError, Problem } from '../errors.js';
import { Flow } from '../exchange.js';
import type { FlowNumber } from '../exchange.js';
import { ReadEnd, ReadPending } from '../native.js';
import type { RequestHead } from '../request-head.js';
import { countStreamed } from '../streamed-memory.js';
import type { NodeExchange } from './exchange.js';
import { kNeedDrain } from './internals.js';
import { ClientSocket } from './socket.js';

const READ = 64 * 1024;
/** Blocks up to this size, together, are sent as one. */
const JOINED = 64 * 1024;
/** How long a request may be read on when its response is complete. */
const READ_ON_MILLISECONDS = 500;

type Done = (error?: Error | null) => void;

interface Written {
  chunk: string | Uint8Array;
  encoding: BufferEncoding | 'buffer';
}

/** Parts of Node's classes that their types do not have. */
export interface ResponseInternals {
  _header: string | null;
  _headerSent: boolean;
  _trailer: string;
  _sent100: boolean;
  _expect_continue: boolean;
  _closed: boolean;
  destroyed: boolean;
  [kNeedDrain]: boolean;
}

interface RequestInternals {
  _dumped: boolean;
  _consuming: boolean;
  readonly _readableState: { readonly resumeScheduled: boolean };
  _dump(): void;
  _addHeaderLines(headers: string[], count: number): void;
  aborted: boolean;
}

export class RequestSocket extends ClientSocket {
  /** The parts of the exchange; set before anything can happen. */
  req!: IncomingMessage & RequestInternals;
  res!: ServerResponse & ResponseInternals;
  _httpMessage: ServerResponse | null = null;
  /** Node's classes look for it. */
  readonly parser = null;

  #pending: Written[] = [];
  /** Length of what the stream has given and has not got back: whatever it holds beyond that comes next. */
  #writing = 0;
  #done: Done | undefined;
  #flushing = false;
  #headTaken = false;
  /** The application called end(): nothing more follows what is pending. */
  #complete = false;
  /** Everything was sent, but the application still reads: until this runs out. */
  #patience: NodeJS.Timeout | undefined;

  declare readonly exchange: NodeExchange;

  constructor(exchange: NodeExchange, head: RequestHead, highWaterMark?: number) {
    super(exchange, head, highWaterMark);
  }

  /**
   * What a server of Node has as listeners on each of its connections, without the cost of adding them for each request.
   * Errors that nobody listens for end here: the close of the connection tells of them.
   */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'drain') this.#drained();
    else if (event === 'timeout') this.#timedOut();
    else if (event === 'error' && this.listenerCount('error') === 0) return false;
    return super.emit(event as 'error', ...(args as [Error]));
  }

  // ---- the request body ----

  /** IncomingMessage asks for more. */
  override resume(): this {
    this.pump();
    return this;
  }

  override pause(): this {
    return this;
  }

  /** Moves body bytes to the request until it has enough or none are there. */
  readonly pump = (): void => {
    const { exchange, req } = this;
    if (req.complete || this.destroyed) return;
    exchange.onBody = undefined;
    for (;;) {
      // Once the exchange has ended the server tells nothing more about the body.
      if (req._dumped || exchange.ended) {
        this.endBody();
        return;
      }
      const got = exchange.hasBody ? exchange.bridge.read(exchange.handle, READ) : ReadEnd;
      if (typeof got !== 'number') {
        if (got.byteLength === 0) continue;
        countStreamed(got.byteLength);
        this.count(got.byteLength, 0);
        if (!req.push(got)) return;
      } else if (got === ReadPending && !exchange.aborted) {
        exchange.onBody = () => exchange.scope.runInAsyncScope(this.pump);
        return;
      } else if (got === ReadEnd) {
        this.endBody();
        return;
      } else {
        // The client left, or sent what is no body.
        this.destroy();
        return;
      }
    }
  };

  endBody(): void {
    const { exchange, req } = this;
    if (req.complete) return;
    exchange.onBody = undefined;
    req.complete = true;
    const trailers = exchange.hasBody && !req._dumped ? exchange.bridge.requestTrailers(exchange.handle) : '';
    if (trailers !== '') {
      const lines = trailers.split('\n').filter((line) => line !== '');
      const raw = lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
      req._addHeaderLines(raw, raw.length);
    }
    req.push(null);
    if (this.#patience !== undefined) this.#end();
  }

  // ---- the response ----

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, done: Done): void {
    this._writev([{ chunk, encoding }], done);
  }

  override _writev(written: Written[], done: Done): void {
    this.#writing = 0;
    for (const item of written) {
      this.#writing += item.chunk.length;
      if (item.chunk.length !== 0) this.#pending.push(item);
    }
    this.#done = done;
    if (this.#flushing) return;
    this.#flushing = true;
    // end() finishes in the same tick: head, body and end then leave in one call.
    process.nextTick(flush, this);
  }

  flush(): void {
    if (!this.#flushing) return;
    this.#flushing = false;
    if (this.destroyed) return;
    const flow = this.#send();
    const done = this.#done;
    this.#done = undefined;
    if (done === undefined) return;
    const { exchange } = this;
    if (flow === Flow.Pause && !this.res.writableEnded) {
      exchange.onWritable = () => {
        exchange.onWritable = undefined;
        done();
      };
    } else {
      process.nextTick(done);
    }
  }

  /** Hands over what is pending, and the end if nothing follows. */
  #send(): FlowNumber {
    const { exchange, res } = this;
    const head = this.#takeHead();
    const body = this.#takeBody();
    const last = this.#complete && this.writableLength === this.#writing;
    let sent = head === undefined ? 0 : head.length;
    for (const block of body) sent += block.length;
    this.count(0, sent);
    if (last && head !== undefined && body.length < 2 && res._trailer === '' && this.#mayEnd()) {
      exchange.sendAll(head, body[0]);
      this.#ended();
      return Flow.Continue;
    }
    let flow: FlowNumber = Flow.Continue;
    if (head !== undefined) exchange.sendHead(head);
    for (const block of body) flow = exchange.send(block);
    if (last) this.#end();
    return flow;
  }

  /** All that the response has was written: called from within end(). */
  finish(): void {
    if (this.#complete) return;
    this.#complete = true;
    if (this.#flushing) this.flush();
    // Else what the stream still holds comes by another _writev(), whose flush() ends.
    else if (this.writableLength === 0 || this.writableLength === this.#writing) this.#end();
  }

  /** The response's head, if it is among what was written; interim ones are passed on. */
  #takeHead(): string | undefined {
    const { exchange, res } = this;
    while (!this.#headTaken) {
      const first = this.#pending[0];
      if (first === undefined) return undefined;
      const head = res._header;
      const text = typeof first.chunk === 'string' ? first.chunk : '';
      if (head !== null && res._headerSent && text.startsWith(head)) {
        this.#headTaken = true;
        if (text.length === head.length) this.#pending.shift();
        else first.chunk = text.slice(head.length);
        return head;
      }
      this.#pending.shift();
      if (/^HTTP\/1\.1 1\d\d /.test(text)) exchange.bridge.interim(exchange.handle, text);
      else this.#refuseRaw();
    }
    return undefined;
  }

  #takeBody(): (string | Uint8Array)[] {
    const blocks = this.#pending.map(({ chunk, encoding }) =>
      typeof chunk !== 'string' || encoding === 'utf8' || (encoding as string) === 'utf-8' || !encoding ? chunk : Buffer.from(chunk, encoding as BufferEncoding),
    );
    this.#pending = [];
    if (blocks.length < 2) return blocks;
    let total = 0;
    for (const block of blocks) total += block.length;
    if (total > JOINED) return blocks;
    return [Buffer.concat(blocks.map((block) => (typeof block === 'string' ? Buffer.from(block) : block)))];
  }

  /** Bytes that are no HTTP response of `res`: only a connection of its own could carry them. */
  #refuseRaw(): void {
    this.exchange.fail(new NwsgiError(Problem.rawBytes, 'bytes of the socket cannot be sent'));
    this.destroy();
  }

  /** The server ends an exchange as a whole: a body that the application is still reading keeps it open for a moment. */
  #mayEnd(): boolean {
    const { req, exchange } = this;
    const isRead = (req._consuming || req._readableState.resumeScheduled) && req.readableFlowing !== false;
    return !exchange.hasBody || req.complete || req._dumped || !isRead;
  }

  #end(): void {
    const { exchange, res } = this;
    if (exchange.ended) return;
    if (!this.#mayEnd()) {
      this.#patience ??= setTimeout(() => this.req._dump(), READ_ON_MILLISECONDS);
      return;
    }
    clearTimeout(this.#patience);
    if (res._trailer !== '') exchange.bridge.trailers(exchange.handle, res._trailer.replaceAll('\r\n', '\n'));
    exchange.end();
    this.#ended();
  }

  #ended(): void {
    if (this.exchange.aborted && !this.destroyed) this.destroy();
  }

  #drained(): void {
    const res = this._httpMessage as (ServerResponse & ResponseInternals) | null;
    if (res === null || res.writableEnded || !res[kNeedDrain]) return;
    res[kNeedDrain] = false;
    res.emit('drain');
  }

  /** As in a server of Node: whoever listens for the time-out deals with it, else the connection is closed. */
  #timedOut(): void {
    const { req, _httpMessage: res } = this;
    const byRequest = !req.complete && req.emit('timeout', this);
    const byResponse = res?.emit('timeout', this) === true;
    const byServer = (this as unknown as { server: NodeJS.EventEmitter }).server.emit('timeout', this);
    if (!byRequest && !byResponse && !byServer) this.destroy();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const { exchange } = this;
    exchange.onBody = undefined;
    exchange.onWritable = undefined;
    clearTimeout(this.#patience);
    // As on a real socket, what was written before reaches the client.
    if (this.#flushing && !exchange.ended && !exchange.aborted) this.#send();
    this.#flushing = false;
    exchange.breakOff();
    super._destroy(error, done);
  }
}

function flush(socket: RequestSocket): void {
  socket.flush();
}
