/** A request whose application is a WSGI callable: the contract of startResponse, write() and the blocks of a body. */
import type { BodyPort } from '../body-reader.js';
import { isBytes } from '../bytes.js';
import { Exchange, Flow } from '../exchange.js';
import type { FlowNumber } from '../exchange.js';
import { NwsgiError, NwsgiTypeError, Problem } from '../errors.js';
import { OVER } from '../native.js';
import { packEarlyHints, packHead } from './head.js';
import { show } from '../show.js';
import type { HeadTarget } from './head.js';
import type { Chunk, Environ, Header } from './types.js';

function ignore(): void {}

export class WsgiExchange extends Exchange implements HeadTarget, BodyPort {
  environ!: Environ;
  isHead = false;
  isHttp10 = false;

  // The response.
  statusCode = 0;
  head = '';
  contentLength = -1;
  /** startResponse was called, successfully or not. */
  started = false;
  /** write() was used: the file fast path is off and the body is longer than what the iterable gives. */
  written = false;
  /** Runs before the response ends, and at release: passes on what wsgi.errors still holds. */
  flushErrors: (() => void) | undefined;

  #bodyBytes = 0;

  override variables(): Environ {
    return this.environ;
  }

  protected override place(): string {
    return `script ${this.target.script}, callable ${this.target.callable}`;
  }

  protected override flushLog(): void {
    this.flushErrors?.();
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
    if (!this.headSent) this.sendHead(this.#packedHead());
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
    const flow = this.send(data);
    return this.contentLength >= 0 && this.#bodyBytes >= this.contentLength ? Flow.Stop : flow;
  }

  /** Part of an open file as body. The application's own Content-Length limits it (W-121, W-123). */
  file(fd: number, offset: number, length: number): void {
    if (this.head === '') throw new NwsgiError(Problem.notStarted, 'the file wrapper was returned before startResponse was called');
    if (this.contentLength < 0) this.contentLength = length;
    this.sendHead(this.#packedHead());
    if (this.isBodiless() || this.aborted) return;
    const room = Math.min(length, this.contentLength);
    if (room === 0) return;
    const queued = this.bridge.sendFile(this.handle, fd, offset, room);
    if (queued === OVER) this.abort();
    else this.#bodyBytes += queued;
  }

  /** Head, a complete body and the end in one call; `size` is the body's length in bytes. */
  respond(body: Chunk | undefined, size: number): void {
    this.flushLog();
    if (this.isBodiless()) {
      if (this.isHead && this.contentLength < 0 && size > 0) this.contentLength = size;
      this.sendAll(this.#packedHead());
      return;
    }
    if (this.contentLength < 0) this.contentLength = size;
    this.sendAll(this.#packedHead(), size === 0 ? undefined : body);
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
    this.flushLog();
    this.end();
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
