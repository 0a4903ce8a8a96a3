/**
 * The socket of an 'upgrade' event: what the application writes to it first is the head of a response. When that says 101
 * the connection becomes the application's own; any other answer is passed on as the ordinary response that it is.
 */
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Flow } from '../exchange.js';
import type { FlowNumber } from '../exchange.js';
import { OVER, ReadEnd, ReadPending } from '../native.js';
import { countStreamed } from '../streamed-memory.js';
import type { NodeExchange } from './exchange.js';
import { requestClass } from './internals.js';
import { endOfHead, parseRawHead, RawBody } from './raw-response.js';
import type { RawHead } from './raw-response.js';
import { fillRequest } from './serve.js';
import type { Request, RequestClass } from './serve.js';
import { ClientSocket } from './socket.js';

const READ = 64 * 1024;
const LONGEST_HEAD = 64 * 1024;
/** Blocks up to this size, together, are sent as one: a frame's head and its payload. */
const JOINED = 64 * 1024;
/** How long a client may take to receive what was written before destroy(), and to close its side. */
const LINGER_MILLISECONDS = 2000;

type Done = (error?: Error | null) => void;
interface Written {
  chunk: string | Uint8Array;
  encoding: BufferEncoding | 'buffer';
}

/** What the bytes that the application writes are. */
const Stage = { Head: 0, Answer: 1, Tunnel: 2 } as const;

/** Whether the server is to get an 'upgrade' event: the client asks for another protocol, and somebody listens. */
export function wantsUpgrade(exchange: NodeExchange, server: Server): boolean {
  const head = exchange.request;
  // With HTTP/1.0 the header means nothing (RFC 9110, 7.8).
  if (head.protocol === 'HTTP/1.0' || head.header('upgrade') === undefined || !/(?:^|[\s,])upgrade(?:$|[\s,])/i.test(head.header('connection') ?? '')) return false;
  // Servers of newer Nodes (24.9) can be given a function that decides.
  const { shouldUpgradeCallback } = server as Server & { shouldUpgradeCallback?: (req: Request) => boolean };
  if (typeof shouldUpgradeCallback !== 'function') return server.listenerCount('upgrade') > 0;
  return shouldUpgradeCallback.call(server, requestOn(new ClientSocket(exchange, head), exchange, server));
}

/** Tells the server of the request. `connect` is told of the socket first; when it says no, the request is refused. */
export function upgrade(exchange: NodeExchange, server: Server, connect: (socket: Duplex) => boolean): void {
  exchange.scope.runInAsyncScope(begin, undefined, exchange, server, connect);
}

function begin(exchange: NodeExchange, server: Server, connect: (socket: Duplex) => boolean): void {
  const socket = new UpgradeSocket(exchange);
  socket.server = server;
  const req = requestOn(socket, exchange, server);
  req.upgrade = true;
  req.complete = true;
  req.push(null);
  if (!connect(socket)) {
    socket.destroy();
    return;
  }
  try {
    // Without a listener the connection is closed, as by Node: then a callback asked for the event.
    if (!server.emit('upgrade', req, socket, Buffer.alloc(0))) socket.destroy();
  } catch (error) {
    exchange.handlerFailed(error);
  }
}

function requestOn(socket: ClientSocket, exchange: NodeExchange, server: Server): Request {
  const req = new (requestClass(server) as RequestClass)(socket);
  fillRequest(req, exchange.request);
  return req;
}

export class UpgradeSocket extends ClientSocket {
  /** The server that got the request, as Node's own sockets have it. */
  server: Server | undefined;
  /** As after an upgrade in Node. */
  readonly parser = null;

  readonly #exchange: NodeExchange;
  #stage: (typeof Stage)[keyof typeof Stage] = Stage.Head;
  #head: Buffer = Buffer.alloc(0);
  #body = new RawBody('close');
  #reading = false;
  #readEnded = false;
  #left = false;

  constructor(exchange: NodeExchange) {
    super(exchange, exchange.request);
    this.#exchange = exchange;
    exchange.onAbort = () => this.#aborted();
    exchange.closeSocket = () => this.destroy();
  }

  // ---- what the application writes ----

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, done: Done): void {
    const bytes = asBytes({ chunk, encoding });
    this.#afterWriting(bytes.length, this.#take(bytes), done);
  }

  override _writev(written: Written[], done: Done): void {
    const blocks = written.map(asBytes);
    let total = 0;
    for (const block of blocks) total += block.length;
    let flow: FlowNumber = Flow.Continue;
    for (const block of total <= JOINED ? [Buffer.concat(blocks, total)] : blocks) flow = this.#take(block);
    this.#afterWriting(total, flow, done);
  }

  #afterWriting(bytes: number, flow: FlowNumber, done: Done): void {
    this.count(0, bytes);
    if (flow !== Flow.Pause) {
      done();
      return;
    }
    this.#exchange.onWritable = () => {
      this.#exchange.onWritable = undefined;
      done();
    };
  }

  #take(bytes: Buffer): FlowNumber {
    if (this.#exchange.aborted || bytes.length === 0) return Flow.Continue;
    if (this.#stage === Stage.Tunnel) return this.#exchange.send(bytes);
    if (this.#stage === Stage.Answer) return this.#answer(this.#body.push(bytes));
    this.#head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes]);
    return this.#takeHead();
  }

  #takeHead(): FlowNumber {
    const end = endOfHead(this.#head);
    if (end < 0) {
      if (this.#head.length > LONGEST_HEAD) this.#refuse('the head of a response is longer than 64 KiB');
      return Flow.Continue;
    }
    const rest = this.#head.subarray(end);
    const head = parseRawHead(this.#head.toString('latin1', 0, end));
    this.#head = Buffer.alloc(0);
    if (head === undefined) {
      this.#refuse('the first bytes written to the socket of an upgrade are no HTTP/1 response');
      return Flow.Continue;
    }
    if (head.status === 101) this.#open(head);
    else if (head.status >= 200) return this.#begin(head, rest);
    else this.#exchange.bridge.interim(this.#exchange.handle, head.packed);
    return this.#take(rest);
  }

  #refuse(text: string): void {
    this.#exchange.fail(new Error(text));
    setImmediate(() => this.destroy());
  }

  /** An ordinary response. */
  #begin(head: RawHead, rest: Buffer): FlowNumber {
    this.#stage = Stage.Answer;
    this.#body = new RawBody(this.#exchange.request.method === 'HEAD' ? 0 : head.framing);
    const blocks = this.#body.push(rest);
    if (this.#body.complete) {
      this.#exchange.sendAll(head.packed, Buffer.concat(blocks));
      this.#answered();
      return Flow.Continue;
    }
    this.#exchange.sendHead(head.packed);
    return this.#answer(blocks);
  }

  #answer(blocks: Buffer[]): FlowNumber {
    let flow: FlowNumber = Flow.Continue;
    for (const block of blocks) flow = this.#exchange.send(block);
    if (this.#body.broken) {
      this.destroy();
    } else if (this.#body.complete) {
      this.#exchange.end();
      this.#answered();
    }
    return flow;
  }

  /** The client has its answer; a connection of its own would be closed by it now. */
  #answered(): void {
    setImmediate(() => this.destroy());
  }

  // ---- the new protocol ----

  #open(head: RawHead): void {
    const exchange = this.#exchange;
    this.#stage = Stage.Tunnel;
    exchange.headSent = true;
    exchange.becomeUpgraded();
    if (exchange.bridge.upgrade(exchange.handle, head.packed) === OVER) exchange.abort();
    // Read ahead, like any socket: the client's end is told although nobody reads.
    else this.#pump();
  }

  override _read(): void {
    if (this.#stage === Stage.Tunnel) this.#pump();
  }

  /** Moves the client's bytes until the application has enough or none are there. */
  #pump(): void {
    if (this.#reading || this.#readEnded || this.destroyed) return;
    this.#reading = true;
    const { bridge, handle } = this.#exchange;
    this.#exchange.onBody = undefined;
    for (let more = true; more && !this.destroyed; ) {
      const got = bridge.read(handle, READ);
      if (typeof got !== 'number') {
        countStreamed(got.byteLength);
        this.count(got.byteLength, 0);
        more = this.push(got);
      } else {
        more = false;
        this.#noBytes(got);
      }
    }
    this.#reading = false;
  }

  #noBytes(got: number): void {
    const exchange = this.#exchange;
    if (got === ReadPending && !exchange.aborted) {
      exchange.onBody = () => this.#pump();
    } else if (got === ReadEnd) {
      this.#readEnded = true;
      this.push(null);
      this.read(0);
    } else if (!exchange.aborted) {
      this.destroy(reset());
    }
  }

  // ---- the end ----

  override _final(done: Done): void {
    const exchange = this.#exchange;
    if (this.#stage !== Stage.Tunnel) {
      this.#endAnswer();
      this.#answered();
    } else {
      exchange.end();
    }
    done();
  }

  /** As far as it was written; with nothing written the client's connection is closed, as by Node. */
  #endAnswer(): void {
    if (this.#stage === Stage.Answer && this.#body.end()) this.#exchange.end();
    else this.#exchange.breakOff();
  }

  override _destroy(error: Error | null, done: Done): void {
    const exchange = this.#exchange;
    exchange.onAbort = undefined;
    exchange.onBody = undefined;
    exchange.onWritable = undefined;
    if (this.#stage === Stage.Tunnel) {
      this.#closeTunnel(error !== null);
    } else {
      if (error === null) this.#endAnswer();
      else exchange.breakOff();
      this.#leave();
    }
    super._destroy(error, done);
  }

  /** What was written before still goes out, unless there was an error, as from a socket that is closed. */
  #closeTunnel(atOnce: boolean): void {
    const exchange = this.#exchange;
    if (atOnce) {
      exchange.ended = true;
      if (!exchange.aborted) exchange.bridge.abort(exchange.handle); // also after an end
      this.#leave();
      return;
    }
    exchange.end();
    if (exchange.aborted || this.#readEnded) {
      this.#leave();
      return;
    }
    const leave = (): void => {
      clearTimeout(patience);
      exchange.bridge.abort(exchange.handle);
      this.#leave();
    };
    const patience = setTimeout(leave, LINGER_MILLISECONDS);
    const discard = (): void => {
      let got: Uint8Array | number;
      do got = exchange.bridge.read(exchange.handle, READ);
      while (typeof got !== 'number');
      if (got !== ReadPending || exchange.aborted) leave();
    };
    exchange.onBody = discard;
    exchange.onAbort = leave;
    discard();
  }

  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#exchange.onBody = undefined;
    this.#exchange.onAbort = undefined;
    this.#exchange.finish();
  }

  #aborted(): void {
    // Of a client that is gone a socket of Node says so, to whoever listens; a server that stops closes it.
    const gone = this.#exchange.bridge.abortReason(this.#exchange.handle) !== SERVER_STOPS;
    this.destroy(gone && this.listenerCount('error') > 0 ? reset() : undefined);
  }
}

/** Of NativeBridge.abortReason. */
const SERVER_STOPS = 3;

function asBytes({ chunk, encoding }: Written): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding === 'buffer' ? 'utf8' : encoding);
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function reset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { errno: -104, code: 'ECONNRESET', syscall: 'read' });
}
