/**
 * One request as the gateway sees it: the state of its response and everything that reaches the bridge for it.
 *
 * Life: created for a Request envelope; open → head sent → ended (complete, failed or aborted) → over (released).
 * Every call after `release()` is refused here and can never touch another request.
 */
import { pageFor } from './error-page.js';
import { logText, NwsgiError, NwsgiTypeError, Problem, problemOf, summary } from './errors.js';
import type { CatalogueEntry } from './errors.js';
import { packEarlyHints, packHead, show } from './wsgi/head.js';
import type { HeadTarget } from './wsgi/head.js';
import type { BodyPort } from './wsgi/input.js';
import { HIGH_WATER, LogLevel, OVER } from './native.js';
import type { LogLevelNumber, NativeBridge } from './native.js';
import type { Instructions } from './record.js';
import { countStreamed } from './streamed-memory.js';
import type { Chunk, Environ, Header } from './wsgi/types.js';

/** What {@link Exchange.block} tells the one who delivers blocks. */
export const Flow = { Continue: 0, Pause: 1, Stop: 2 } as const;
export type FlowNumber = (typeof Flow)[keyof typeof Flow];

/** How long an application may go on after its request was aborted, before it is left to itself. */
const PATIENCE_MILLISECONDS = 100;

const ABORT_TEXT = ['the request is over', 'the client left', 'the request took too long', 'the server stops', 'the server had a fault'] as const;

function ignore(): void {}

/** True for Uint8Array of any realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || (ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]');
}

export class Exchange implements HeadTarget, Instructions, BodyPort {
  readonly bridge: NativeBridge;
  readonly handle: number;
  readonly hasBody: boolean;
  environ!: Environ;
  script = '';

  // From the record.
  callable = 'application';
  developmentPage = false;
  reloading = false;
  multiprocess = false;
  isHead = false;
  isHttp10 = false;

  // The response.
  statusCode = 0;
  head = '';
  contentLength = -1;
  /** startResponse was called, successfully or not. */
  started = false;
  headSent = false;
  /** write() was used: the file fast path is off and the body is longer than what the iterable gives. */
  written = false;
  ended = false;
  over = false;
  aborted = false;
  /** Runs once when the request is aborted; set by whoever waits for the application's next block. */
  onAbort: (() => void) | undefined;
  /** Runs when the bridge reports new body bytes or the request is aborted. */
  onBody: (() => void) | undefined;
  /** Runs before the response ends, and at release: passes on what wsgi.errors still holds. */
  flushErrors: (() => void) | undefined;

  #bodyBytes = 0;
  #writable: { promise: Promise<void>; resolve: () => void } | undefined;
  #controller: AbortController | undefined;
  #giveUp: (() => void) | undefined;
  #patience: NodeJS.Timeout | undefined;
  #gaveUp = false;

  constructor(bridge: NativeBridge, handle: number, hasBody: boolean) {
    this.bridge = bridge;
    this.handle = handle;
    this.hasBody = hasBody;
  }

  // ---- what the application calls ----

  startResponse(status: string, headers: readonly Header[], excInfo: unknown): void {
    if (this.ended) throw this.#late('startResponse');
    const replacing = excInfo !== undefined && excInfo !== null;
    if (replacing && this.headSent) throw Array.isArray(excInfo) && excInfo.length === 3 ? excInfo[1] : excInfo;
    if (this.started && !replacing) {
      throw new NwsgiError(Problem.startedTwice, 'startResponse was called before; pass the error as third argument to replace the answer');
    }
    this.started = true;
    packHead(status, headers, this);
  }

  /** `write(data)`; the promise is rejected when the request is aborted while it waits. */
  write(data: Chunk): void | Promise<void> {
    if (this.ended) throw this.#late('write');
    if (this.aborted) throw this.abortError();
    this.written = true;
    const before = this.#bodyBytes;
    const flow = this.block(data, true);
    if (this.aborted) throw this.abortError();
    if (flow === Flow.Stop && this.contentLength >= 0 && !this.isBodiless()) {
      const size = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength;
      if (before + size > this.contentLength) {
        throw new NwsgiError(Problem.longBody, `write() got ${before + size} bytes, Content-Length is ${this.contentLength}`);
      }
    }
    if (flow !== Flow.Pause) return undefined;
    const done = this.writable().then(() => {
      if (this.aborted) throw this.abortError();
    });
    done.catch(ignore); // A caller that does not wait must not end the process.
    return done;
  }

  earlyHints(headers: readonly Header[]): void {
    const packed = packEarlyHints(headers);
    if (this.headSent || this.ended || this.aborted || this.isHttp10) return;
    this.bridge.interim(this.handle, packed);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.aborted) this.#controller.abort(this.abortError());
    }
    return this.#controller.signal;
  }

  // ---- what delivers the body ----

  /** True when the response must not have a body: HEAD, 204, 304 (W-105, W-106). */
  isBodiless(): boolean {
    return this.isHead || this.statusCode === 204 || this.statusCode === 304;
  }

  /** Hands over one block (W-85: at once). Throws for what is no block, or comes before startResponse. */
  block(chunk: unknown, fromWrite = false): FlowNumber {
    const isText = typeof chunk === 'string';
    if (!isText && !isBytes(chunk)) throw badChunk(chunk);
    const length = chunk.length;
    if (length === 0) return this.aborted ? Flow.Stop : Flow.Continue;
    if (this.head === '') throw new NwsgiError(Problem.notStarted, 'a block of the response came before startResponse was called');
    if (!this.headSent) this.#sendHead();
    if (this.aborted) return Flow.Stop;
    if (this.isBodiless()) return fromWrite ? Flow.Continue : Flow.Stop;
    let data: Chunk = chunk;
    if (this.contentLength >= 0) {
      const size = isText ? Buffer.byteLength(chunk) : length;
      const room = this.contentLength - this.#bodyBytes;
      if (room === 0) return Flow.Stop;
      if (size > room) data = (isText ? Buffer.from(chunk) : chunk).subarray(0, room);
      this.#bodyBytes += Math.min(size, room);
    }
    const queued = this.bridge.write(this.handle, data);
    if (queued === OVER) {
      this.abort();
      return Flow.Stop;
    }
    countStreamed(length);
    if (this.contentLength >= 0 && this.#bodyBytes >= this.contentLength) return Flow.Stop;
    return queued > HIGH_WATER ? Flow.Pause : Flow.Continue;
  }

  /** Part of an open file as body. The application's own Content-Length limits it (W-121, W-123). */
  file(fd: number, offset: number, length: number): void {
    if (this.head === '') throw new NwsgiError(Problem.notStarted, 'the file wrapper was returned before startResponse was called');
    if (this.contentLength < 0) this.contentLength = length;
    this.#sendHead();
    if (this.isBodiless() || this.aborted) return;
    const room = Math.min(length, this.contentLength);
    if (room === 0) return;
    const queued = this.bridge.sendFile(this.handle, fd, offset, room);
    if (queued === OVER) this.abort();
    else this.#bodyBytes += queued;
  }

  /** Resolves when the bridge takes more, or the request is aborted. */
  writable(): Promise<void> {
    if (this.aborted || this.over) return Promise.resolve();
    if (this.#writable === undefined) {
      let resolve: () => void = ignore;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#writable = { promise, resolve };
    }
    return this.#writable.promise;
  }

  /** Head, a complete body and the end in one call; `size` is the body's length in bytes. */
  respond(body: Chunk | undefined, size: number): void {
    this.flushErrors?.();
    this.headSent = true;
    this.ended = true;
    if (this.isBodiless()) {
      if (this.isHead && this.contentLength < 0 && size > 0) this.contentLength = size;
      if (this.bridge.respond(this.handle, this.#packedHead()) === OVER) this.aborted = true;
      return;
    }
    if (this.contentLength < 0) this.contentLength = size;
    if (this.bridge.respond(this.handle, this.#packedHead(), size === 0 ? undefined : body) === OVER) this.aborted = true;
  }

  /** The application has delivered everything. */
  complete(): void {
    if (this.ended) return;
    if (this.aborted) {
      this.ended = true;
      return;
    }
    if (this.head === '') throw new NwsgiError(Problem.notStarted, 'the response ended and startResponse had not been called');
    if (this.contentLength >= 0 && !this.isBodiless() && this.#bodyBytes < this.contentLength) {
      throw new NwsgiError(Problem.shortBody, `the body has ${this.#bodyBytes} bytes, Content-Length is ${this.contentLength}`);
    }
    if (!this.headSent) {
      this.respond(undefined, 0);
      return;
    }
    this.flushErrors?.();
    this.ended = true;
    if (this.bridge.end(this.handle) === OVER) this.aborted = true;
  }

  // ---- how it can go wrong ----

  /** Where things happened, for log lines. Never throws, whatever the application made of its environ. */
  where(): string {
    return `script ${this.script}, callable ${this.callable}, ${this.#variable('REQUEST_METHOD')} ${this.#variable('REQUEST_URI') || this.#variable('PATH_INFO')}`;
  }

  #variable(key: string): string {
    try {
      const value = this.environ?.[key];
      return typeof value === 'string' ? value : '';
    } catch {
      return '';
    }
  }

  log(level: LogLevelNumber, text: string): void {
    this.bridge.log(this.over ? 0 : this.handle, level, text);
  }

  /** Ends the response because of an error: an error page when nothing was sent, else visibly incomplete (W-96, W-97). */
  fail(error: unknown, problem?: CatalogueEntry, status = 500): void {
    // Before the log line of the error, and before the server may forget the request.
    this.flushErrors?.();
    const known = problem ?? problemOf(error) ?? (this.headSent ? Problem.applicationFailedLate : Problem.applicationFailed);
    if (this.aborted) {
      // Nobody waits for the answer. What an application does after that is of interest only when it is debugged.
      this.log(LogLevel.info, `${Problem.clientGone.code} ${this.abortError().message}; the application ended with ${summary(error)} (${this.where()})`);
      this.ended = true;
      return;
    }
    this.log(LogLevel.error, logText(known, this.where(), error));
    if (this.ended) return;
    this.ended = true;
    if (this.headSent) {
      this.bridge.abort(this.handle);
    } else if (this.developmentPage) {
      this.headSent = true;
      this.#sendPage(known, error, status);
    } else {
      this.bridge.fail(this.handle, status, known.code, `${known.title}: ${summary(error)}`);
    }
  }

  #sendPage(problem: CatalogueEntry, error: unknown, status: number): void {
    const { environ, script, callable } = this;
    let page;
    try {
      page = pageFor({ problem, error, environ, status, script, callable });
    } catch (fault) {
      this.log(LogLevel.critical, logText(Problem.gatewayFault, this.where(), fault));
      this.bridge.fail(this.handle, status, problem.code, problem.title);
      return;
    }
    this.bridge.respond(this.handle, page.head, page.body);
  }

  abortError(): NwsgiError {
    const reason = this.over ? 0 : this.bridge.abortReason(this.handle);
    return new NwsgiError(Problem.clientGone, ABORT_TEXT[reason] || 'the client left');
  }

  // ---- what the bridge reports ----

  abort(): void {
    if (this.aborted || this.over) return;
    this.aborted = true;
    this.writableAgain();
    this.onBody?.();
    this.#patience = setTimeout(() => this.#leave(), PATIENCE_MILLISECONDS);
    this.#controller?.abort(this.abortError());
    this.onAbort?.();
  }

  /** `giveUp` runs when the request was aborted and what its application does is not to be waited for any longer. */
  waitFor(giveUp: () => void): void {
    if (this.#gaveUp) giveUp();
    else this.#giveUp = giveUp;
  }

  #leave(): void {
    this.#gaveUp = true;
    this.#giveUp?.();
  }

  writableAgain(): void {
    const waiting = this.#writable;
    this.#writable = undefined;
    waiting?.resolve();
  }

  /** The gateway has no more use for the request. */
  release(): void {
    if (this.over) return;
    this.flushErrors?.();
    this.ended = true;
    this.over = true;
    this.#giveUp = undefined;
    if (this.#patience !== undefined) clearTimeout(this.#patience);
    this.bridge.release(this.handle);
    this.writableAgain();
    this.onBody?.();
  }

  #sendHead(): void {
    if (this.headSent) return;
    this.headSent = true;
    if (this.bridge.head(this.handle, this.#packedHead()) === OVER) this.abort();
  }

  #packedHead(): string {
    // 204 has no length (W-106); that of 304 tells about the representation, if the application knows it.
    if (this.contentLength < 0 || this.statusCode === 204) return this.head;
    return `${this.head}Content-Length:${this.contentLength}\n`;
  }

  #late(what: string): NwsgiError {
    return new NwsgiError(Problem.tooLate, `${what} was called after the response had ended`);
  }
}

export function badChunk(chunk: unknown): NwsgiTypeError {
  return new NwsgiTypeError(Problem.badChunk, `a block of the response must be a Uint8Array or a string, not ${show(chunk)}`);
}
