/**
 * Understands the bytes that an application writes to the socket of an 'upgrade' event: first the head of a response,
 * then, unless that says 101, a body framed by its length, by chunks, or by the end.
 */
import { http } from '../http-module.js';

export interface RawHead {
  readonly status: number;
  /** For the bridge: "401 Unauthorized\nName:value\n". */
  readonly packed: string;
  readonly framing: BodyFraming;
}

/** How the end of a body is known: its length in bytes, chunks, or the end of what is written. */
export type BodyFraming = number | 'chunked' | 'close';

const STATUS_LINE = /^HTTP\/1\.[01] ([1-9]\d\d)(?: (.*))?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const CONTROLS = /[^\t\x20-\x7e\x80-\xff]/g;
const END_OF_HEAD = Buffer.from('\r\n\r\n');

/** Where the bytes after the first head in `bytes` begin; -1 while it is not complete. */
export function endOfHead(bytes: Buffer): number {
  const at = bytes.indexOf(END_OF_HEAD);
  return at < 0 ? -1 : at + END_OF_HEAD.length;
}

/** `text` is the head up to its empty line, latin-1. Undefined when it is none of HTTP/1. */
export function parseRawHead(text: string): RawHead | undefined {
  const [first = '', ...lines] = text.split('\r\n');
  const match = STATUS_LINE.exec(first);
  if (match === null) return undefined;
  const status = Number(match[1]);
  let packed = `${status} ${(match[2] ?? '').replace(CONTROLS, '') || http.STATUS_CODES[status] || 'Unknown'}\n`;
  let framing: BodyFraming = 'close';
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    // What is no header would become one of its neighbours.
    if (!TOKEN.test(name)) continue;
    const value = line.slice(colon + 1).replace(CONTROLS, '').trim();
    const lower = name.toLowerCase();
    if (lower === 'transfer-encoding' && /\bchunked$/i.test(value)) framing = 'chunked';
    else if (lower !== 'content-length') packed += `${name}:${value}\n`;
    else if (framing === 'close' && /^\d{1,15}$/.test(value)) framing = Number(value);
  }
  if (status < 200 || status === 204 || status === 304) framing = 0;
  else if (typeof framing === 'number') packed += `Content-Length:${framing}\n`;
  return { status, packed, framing };
}

const CR = 13;
const LF = 10;
const SIZE_LINE = /^([0-9a-f]{1,13})[ \t]*(?:;.*)?$/i;
const LONGEST_LINE = 16 * 1024;

const Part = { Size: 0, Data: 1, AfterData: 2, Trailers: 3 } as const;

/** The body of such a response: gives what is to be sent. */
export class RawBody {
  /** Everything that belongs to the body was written. */
  complete: boolean;
  /** What was written is not framed as its head says. */
  broken = false;

  readonly #framing: BodyFraming;
  #left: number;
  #part: (typeof Part)[keyof typeof Part] = Part.Size;
  #line = '';

  constructor(framing: BodyFraming) {
    this.#framing = framing;
    this.#left = typeof framing === 'number' ? framing : 0;
    this.complete = framing === 0;
  }

  /** The bytes of the body in `chunk`. What follows its end is ignored. */
  push(chunk: Buffer): Buffer[] {
    if (this.complete || this.broken) return [];
    if (this.#framing === 'close') return [chunk];
    if (this.#framing === 'chunked') return this.#chunks(chunk);
    const part = chunk.subarray(0, this.#left);
    this.#left -= part.length;
    this.complete = this.#left === 0;
    return [part];
  }

  /** Nothing more will be written. False when something is missing. */
  end(): boolean {
    return this.complete || this.#framing === 'close';
  }

  #chunks(bytes: Buffer): Buffer[] {
    const blocks: Buffer[] = [];
    for (let at = 0; at < bytes.length && !this.complete && !this.broken; ) {
      if (this.#part === Part.Data) {
        const block = bytes.subarray(at, at + this.#left);
        blocks.push(block);
        at += block.length;
        this.#left -= block.length;
        if (this.#left === 0) this.#part = Part.AfterData;
        continue;
      }
      const newline = bytes.indexOf(LF, at);
      const end = newline < 0 ? bytes.length : newline;
      this.#line += bytes.toString('latin1', at, end);
      at = end + 1;
      if (this.#line.length > LONGEST_LINE) this.broken = true;
      else if (newline >= 0) this.#takeLine();
    }
    return blocks;
  }

  #takeLine(): void {
    const line = this.#line.charCodeAt(this.#line.length - 1) === CR ? this.#line.slice(0, -1) : this.#line;
    this.#line = '';
    if (this.#part === Part.Trailers) {
      this.complete = line === '';
    } else if (this.#part === Part.AfterData) {
      this.broken = line !== '';
      this.#part = Part.Size;
    } else {
      const size = SIZE_LINE.exec(line);
      this.broken = size === null;
      this.#left = size === null ? 0 : parseInt(size[1] as string, 16);
      this.#part = this.#left === 0 ? Part.Trailers : Part.Data;
    }
  }
}
