/**
 * One request of Node's own HTTP server, as the functions of NativeBridge see it: reading when it is asked for, writing
 * with a count of what the client has not taken, and an explicit end.
 *
 * Life: made for a request → head sent → ended or destroyed. The server learns of its end from the response's 'close'.
 */
import { closeSync, createReadStream } from 'node:fs';
import type { ReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { http } from '../../http-module.js';
import { Event, HIGH_WATER, OVER, ReadEnd, ReadError, ReadPending } from '../../native.js';
import { openAgain, partOf } from './file.js';
import type { FilePart } from './file.js';
import { headText, parseHead, parseLines } from './head.js';

/** Of NativeBridge.abortReason. */
export const Reason = { none: 0, clientGone: 1, timeout: 2, serverStops: 3 } as const;

/** To be done in turn: a file takes its time, what was written after it waits. */
type Step = { readonly bytes: Uint8Array | string } | (FilePart & { readonly fd: number }) | 'end';

interface ResponseInternals {
  _writeRaw(data: string, encoding: string): boolean;
}

interface SentHead {
  readonly bodiless: boolean;
  /** What the body may still have, where the application has said so. */
  left: number;
}

export class HttpRequest {
  readonly handle: number;
  readonly req: IncomingMessage;
  readonly record: string;
  readonly hasBody: boolean;
  abortReason: number = Reason.none;
  /** The gateway has it. */
  begun = false;
  begunAt = 0;
  /** Runs when the connection is taken over by the application. */
  onTunnel: (() => void) | undefined;
  /** The gateway knows it no more. */
  released = false;
  /** The connection was taken over by the application. */
  tunnel = false;
  /** The connection must not be used again. */
  closes = false;

  readonly #socket: Socket;
  readonly #notify: (handle: number, events: number) => void;
  #res: ServerResponse | undefined;
  #head: SentHead | undefined;
  #ended = false;
  #over = false;
  /** The gateway was told to wait for {@link Event.Body}. */
  #readWaiting = false;
  #readEnded = false;
  #readStarted = false;
  #readError = '';
  #writeWaiting = false;
  #awaitsContinue: boolean;
  #steps: Step[] = [];
  #stepBytes = 0;
  #file: ReadStream | undefined;

  /** `res` is undefined where the client asks for another protocol: the connection is nobody's then. */
  constructor(handle: number, req: IncomingMessage, res: ServerResponse | undefined, record: string, awaitsContinue: boolean, notify: (handle: number, events: number) => void) {
    this.handle = handle;
    this.req = req;
    this.record = record;
    this.#res = res;
    this.#socket = req.socket;
    this.#notify = notify;
    this.#awaitsContinue = awaitsContinue;
    this.hasBody = res !== undefined && (req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0);
  }

  /** Something is expected of the client: bytes of the body, or that it takes what was written. */
  get waitsForClient(): boolean {
    return this.#readWaiting || this.#writeWaiting || this.#ended;
  }

  /** The application has ended its response. */
  get answered(): boolean {
    return this.#ended;
  }

  get headSent(): boolean {
    return this.#head !== undefined || this.tunnel;
  }

  /** The connection is closed, or the response is with the system. */
  closed(): void {
    this.#file?.destroy();
    if (this.#ended && !this.tunnel) {
      this.#over = true;
      return;
    }
    this.abortBy(Reason.clientGone);
  }

  abortBy(reason: number): void {
    if (this.abortReason !== Reason.none) return;
    this.#over = true;
    this.abortReason = reason;
    this.#tell(Event.Aborted);
  }

  // ---- reading ----

  read(most: number): Uint8Array | number {
    if (this.tunnel) return this.#readFrom(this.#socket, most);
    if (!this.hasBody) return ReadEnd;
    if (this.#readError !== '') return ReadError;
    if (!this.#readStarted) this.#startReading();
    return this.#readFrom(this.req, most);
  }

  get bodyError(): string {
    return this.#readError;
  }

  /** `"Name:value\n"` */
  get trailers(): string {
    const { rawTrailers } = this.req;
    let lines = '';
    for (let i = 0; i < rawTrailers.length; i += 2) lines += `${rawTrailers[i] as string}:${rawTrailers[i + 1] as string}\n`;
    return lines;
  }

  #readFrom(source: IncomingMessage | Socket, most: number): Uint8Array | number {
    const size = Math.min(most, source.readableLength);
    const bytes = source.read(size === 0 ? undefined : size) as Buffer | null;
    if (bytes !== null) return bytes;
    if (this.#readEnded) return ReadEnd;
    if (this.#over) return ReadError;
    this.#readWaiting = true;
    return ReadPending;
  }

  #startReading(): void {
    this.#readStarted = true;
    const { req } = this;
    if (this.#awaitsContinue && !this.headSent) {
      this.#awaitsContinue = false;
      this.#res?.writeContinue();
    }
    this.#follow(req);
    req.on('error', (error: NodeJS.ErrnoException) => {
      this.#readError = error.code === 'ECONNRESET' ? 'the client ended the connection before the end of the body' : error.message;
      this.#newsOfBody();
    });
  }

  #follow(source: IncomingMessage | Socket): void {
    source.on('readable', () => this.#newsOfBody());
    source.on('end', () => {
      this.#readEnded = true;
      this.#newsOfBody();
    });
  }

  #newsOfBody(): void {
    if (!this.#readWaiting) return;
    this.#readWaiting = false;
    this.#tell(Event.Body);
  }

  // ---- the response ----

  sendHead(packed: string, wholeLength?: number): number {
    if (this.#isOver() || this.headSent) return OVER;
    const head = parseHead(packed);
    const { status, fields } = head;
    const bodiless = this.req.method === 'HEAD' || status === 204 || status === 304;
    let { length } = head;
    if (wholeLength !== undefined && length < 0 && !bodiless) {
      length = wholeLength;
      fields.push('Content-Length', String(length));
    }
    const res = this.#response();
    // A body that the client still holds back cannot be told from its next request.
    if (head.closes || this.closes || this.#awaitsContinue) res.shouldKeepAlive = false;
    this.#head = { bodiless, left: length < 0 ? Infinity : length };
    res.writeHead(status, head.reason, fields as unknown as Record<string, string>);
    // Together with the first block, if that follows.
    if (wholeLength === undefined) setImmediate(() => !res.writableEnded && !res.destroyed && res.flushHeaders());
    return 0;
  }

  respond(packed: string, body: Uint8Array | string | undefined): number {
    const size = body === undefined ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (this.sendHead(packed, size) === OVER) return OVER;
    if (body !== undefined && size > 0) this.#put(body);
    return this.end();
  }

  write(chunk: Uint8Array | string): number {
    if (this.#isOver()) return OVER;
    // The application may use its memory again.
    const bytes = typeof chunk === 'string' ? chunk : Buffer.from(chunk);
    if (this.#steps.length > 0) {
      this.#steps.push({ bytes });
      this.#stepBytes += bytes.length;
    } else {
      this.#put(bytes);
    }
    const queued = this.#stepBytes + (this.tunnel ? this.#socket.writableLength : this.#response().writableLength);
    if (queued > HIGH_WATER) this.#writeWaiting = true;
    return queued;
  }

  /** The descriptor stays the caller's. */
  sendFile(fd: number, offset: number, length: number): number {
    if (this.#isOver()) return OVER;
    const part = partOf(fd, offset, length);
    if (part.length === 0) return 0;
    this.#steps.push({ ...part, fd: openAgain(fd) });
    if (this.#steps.length === 1) this.#step();
    return part.length;
  }

  interim(packed: string): number {
    if (this.#isOver() || this.headSent) return OVER;
    if (this.req.httpVersionMinor === 0) return 0;
    const text = headText(packed);
    if (text.startsWith('HTTP/1.1 100')) {
      if (!this.#awaitsContinue) return 0;
      this.#awaitsContinue = false;
    }
    (this.#response() as unknown as ResponseInternals)._writeRaw(text, 'latin1');
    return 0;
  }

  addTrailers(lines: string): number {
    if (this.#isOver()) return OVER;
    this.#response().addTrailers(parseLines(lines));
    return 0;
  }

  end(): number {
    if (this.#isOver() || this.#ended) return OVER;
    this.#ended = true;
    if (this.#steps.length > 0) this.#steps.push('end');
    else this.#finish();
    return 0;
  }

  /** The client sees that something is missing. */
  destroy(): number {
    if (this.#over && !this.tunnel) return OVER;
    this.#over = true;
    this.#ended = true;
    this.#file?.destroy();
    this.#closeFiles();
    this.#breakOff();
    return 0;
  }

  /** What was written before still goes out; then the connection ends where a body would have gone on. */
  #breakOff(): void {
    const socket = this.#socket;
    if (this.tunnel || !this.headSent || socket.destroyed) {
      socket.destroy();
      return;
    }
    this.#response().flushHeaders();
    socket.uncork();
    // Without framing an orderly end would look like the end of the body.
    const unframed = this.req.httpVersionMinor === 0;
    socket.end(() => (unframed ? socket.resetAndDestroy() : socket.destroy()));
  }

  /** The gateway needs it no more: what has no end by now gets none. */
  leave(): void {
    if (!this.#ended) this.destroy();
  }

  // ---- another protocol ----

  upgrade(packed: string): number {
    if (this.#isOver() || this.headSent || this.#res !== undefined) return OVER;
    this.tunnel = true;
    this.#socket.write(headText(packed, '101 Switching Protocols'), 'latin1');
    this.#follow(this.#socket);
    this.#socket.on('drain', () => this.#drained());
    this.onTunnel?.();
    return 0;
  }

  // ---- inside ----

  #isOver(): boolean {
    return this.#over || this.#ended;
  }

  #tell(events: number): void {
    if (!this.released) this.#notify(this.handle, events);
  }

  /** For a client that asked for another protocol and gets an ordinary answer, one is made. */
  #response(): ServerResponse {
    if (this.#res !== undefined) return this.#res;
    const res = new http.ServerResponse(this.req);
    res.shouldKeepAlive = false;
    res.assignSocket(this.#socket);
    res.on('finish', () => this.#socket.destroySoon());
    this.#socket.on('drain', () => res.emit('drain'));
    this.#res = res;
    return res;
  }

  #put(bytes: Uint8Array | string): void {
    if (this.tunnel) {
      this.#socket.write(bytes);
      return;
    }
    const head = this.#head;
    if (head === undefined || head.bodiless || head.left === 0) return;
    let data = bytes;
    if (head.left !== Infinity) {
      if (typeof data === 'string') data = Buffer.from(data);
      if (data.byteLength > head.left) data = data.subarray(0, head.left);
      head.left -= data.byteLength;
    }
    const res = this.#response();
    if (res.listenerCount('drain') === 0) res.on('drain', () => this.#drained());
    res.write(data);
  }

  #drained(): void {
    if (!this.#writeWaiting || this.#steps.length > 0) return;
    this.#writeWaiting = false;
    this.#tell(Event.Writable);
  }

  #finish(): void {
    if (this.tunnel) {
      this.#socket.end();
      return;
    }
    const head = this.#head;
    // Less than was announced: an end that looks like one would be a lie.
    if (head === undefined || (!head.bodiless && head.left > 0 && head.left !== Infinity)) this.destroy();
    else this.#response().end();
  }

  #step(): void {
    const step = this.#steps[0];
    if (step === undefined) {
      if (this.#response().writableLength === 0) this.#drained();
    } else if (step === 'end') {
      this.#steps = [];
      this.#finish();
    } else if ('bytes' in step) {
      this.#put(step.bytes);
      this.#stepBytes -= step.bytes.length;
      this.#next();
    } else {
      this.#stream(step.fd, step.offset, step.length);
    }
  }

  #next(): void {
    this.#steps.shift();
    this.#step();
  }

  #stream(fd: number, offset: number, length: number): void {
    const res = this.#response();
    const file = createReadStream('', { fd, start: offset, end: offset + length - 1 });
    this.#file = file;
    const goOn = (): void => void file.resume();
    res.on('drain', goOn);
    file.on('data', (bytes) => {
      this.#put(bytes as Buffer);
      if (res.writableNeedDrain) file.pause();
    });
    file.on('error', () => this.destroy());
    file.on('close', () => {
      res.off('drain', goOn);
      this.#file = undefined;
      if (this.#over) return;
      // Somebody has made it shorter in the meantime.
      if (file.bytesRead < length) this.destroy();
      else this.#next();
    });
  }

  #closeFiles(): void {
    for (const step of this.#steps.splice(this.#file === undefined ? 0 : 1)) {
      if (typeof step === 'object' && 'fd' in step) closeSync(step.fd);
    }
  }
}
