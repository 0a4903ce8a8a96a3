/** `wsgi.input`: the request body, pulled from the bridge only when the application asks for it (W-45…W-60). */
import { Readable } from 'node:stream';
import { BLOCK, BodyReader } from '../body-reader.js';
import type { BodyPort } from '../body-reader.js';
import { NwsgiError, Problem } from '../errors.js';
import type { InputStream } from './types.js';

const EMPTY = Buffer.alloc(0);
const NEWLINE = 10;

/** -1 for "everything". */
function checkSize(size: unknown, what: string): number {
  if (size === undefined || size === null) return -1;
  if (typeof size !== 'number' || Number.isNaN(size)) throw new TypeError(`${what} must be a number`);
  return size < 0 ? -1 : Math.trunc(size);
}

export class BodyInput implements InputStream {
  readonly #port: BodyPort;
  #lazyReader: BodyReader | undefined;
  #buffered: Buffer = EMPTY;
  #tail: Promise<unknown> | undefined;

  constructor(port: BodyPort) {
    this.#port = port;
  }

  /** Most requests never look at their body. */
  get #reader(): BodyReader {
    return (this.#lazyReader ??= new BodyReader(this.#port));
  }

  read(size?: number): Promise<Buffer> {
    return this.#inTurn(() => {
      const most = checkSize(size, 'size');
      return most < 0 ? this.#rest() : this.#exactly(most);
    });
  }

  readline(size?: number): Promise<Buffer> {
    return this.#inTurn(() => this.#line(checkSize(size, 'size')));
  }

  readlines(hint?: number): Promise<Buffer[]> {
    return this.#inTurn(async () => {
      const enough = checkSize(hint, 'hint');
      const lines: Buffer[] = [];
      let bytes = 0;
      for (;;) {
        const line = await this.#line(-1);
        if (line.length === 0) return lines;
        lines.push(line);
        bytes += line.length;
        if (enough > 0 && bytes >= enough) return lines;
      }
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const line = await this.readline();
      if (line.length === 0) return;
      yield line;
    }
  }

  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const chunk = await this.#inTurn(() => this.#next(BLOCK));
      if (chunk === undefined) return;
      yield chunk;
    }
  }

  toReadable(): Readable {
    return Readable.from(this.chunks(), { objectMode: false });
  }

  close(): void {}

  /** Serialises the calls: each starts when the one before it is done, whatever became of that. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#tail === undefined ? this.#start(work) : this.#tail.then(() => this.#start(work));
    const tail: Promise<void> = mine.then(
      () => this.#leave(tail),
      () => this.#leave(tail),
    );
    this.#tail = tail;
    return mine;
  }

  #leave(tail: Promise<unknown>): void {
    if (this.#tail === tail) this.#tail = undefined;
  }

  async #start<T>(work: () => Promise<T>): Promise<T> {
    if (this.#port.over) throw new NwsgiError(Problem.tooLate, 'wsgi.input was read after the response had ended');
    return work();
  }

  /** What is buffered, or else at most `most` new bytes; undefined at the end. */
  async #next(most: number): Promise<Buffer | undefined> {
    if (this.#buffered.length > 0) {
      const all = this.#buffered;
      this.#buffered = EMPTY;
      return all;
    }
    return this.#reader.next(most);
  }

  async #rest(): Promise<Buffer> {
    const buffered = this.#buffered;
    this.#buffered = EMPTY;
    const rest = await this.#reader.rest();
    return buffered.length === 0 ? rest : Buffer.concat([buffered, rest]);
  }

  async #exactly(size: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = size;
    while (missing > 0) {
      const chunk = await this.#next(Math.min(missing, BLOCK));
      if (chunk === undefined) break;
      if (chunk.length > missing) {
        this.#buffered = chunk.subarray(missing);
        parts.push(chunk.subarray(0, missing));
        missing = 0;
      } else {
        parts.push(chunk);
        missing -= chunk.length;
      }
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  async #line(most: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let room = most < 0 ? Infinity : most;
    while (room > 0) {
      const chunk = await this.#next(BLOCK);
      if (chunk === undefined) break;
      const newline = chunk.indexOf(NEWLINE);
      const end = Math.min(newline < 0 ? chunk.length : newline + 1, room);
      parts.push(end === chunk.length ? chunk : chunk.subarray(0, end));
      if (end < chunk.length) this.#buffered = chunk.subarray(end);
      room -= end;
      if (newline >= 0 && newline < end) break;
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }
}
