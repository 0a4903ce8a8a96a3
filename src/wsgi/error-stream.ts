/** `wsgi.errors`: whole lines go to the request's error log, so that requests never mix within a line (W-61…W-64). */
import { LogLevel } from '../native.js';
import type { LogLevelNumber } from '../native.js';
import type { ErrorStream } from './types.js';

/** A longer line becomes several: nothing may be collected without bounds. */
const LONGEST_LINE = 8192;

/** Where the line that begins at `start` is cut if it is too long: not within a surrogate pair. */
function pieceEnd(text: string, start: number): number {
  const end = start + LONGEST_LINE;
  if (end >= text.length) return text.length;
  return (text.charCodeAt(end - 1) & 0xfc00) === 0xd800 ? end - 1 : end;
}

/** Collects text and passes on whole lines without their `\n`. */
export class LineBuffer {
  #sink: (line: string) => void;
  #pending = '';

  constructor(sink: (line: string) => void) {
    this.#sink = sink;
  }

  write(text: string): void {
    const all = this.#pending === '' ? text : this.#pending + text;
    let start = 0;
    for (let newline = all.indexOf('\n'); newline >= 0; newline = all.indexOf('\n', start)) {
      const end = newline > start && all.charCodeAt(newline - 1) === 13 ? newline - 1 : newline;
      this.#pass(all.slice(start, end));
      start = newline + 1;
    }
    while (all.length - start > LONGEST_LINE) {
      const end = pieceEnd(all, start);
      this.#sink(all.slice(start, end));
      start = end;
    }
    this.#pending = all.slice(start);
  }

  flush(): void {
    if (this.#pending === '') return;
    const rest = this.#pending;
    this.#pending = '';
    this.#pass(rest);
  }

  #pass(line: string): void {
    let start = 0;
    do {
      const end = pieceEnd(line, start);
      this.#sink(start === 0 && end === line.length ? line : line.slice(start, end));
      start = end;
    } while (start < line.length);
  }
}

/** What the stream needs of its request. */
export interface LogPort {
  log(level: LogLevelNumber, text: string): void;
  flushErrors: (() => void) | undefined;
}

export class RequestErrors implements ErrorStream {
  #port: LogPort;
  #lines: LineBuffer | undefined;

  constructor(port: LogPort) {
    this.#port = port;
  }

  write(text: string): void {
    if (this.#lines === undefined) {
      const port = this.#port;
      const lines = new LineBuffer((line) => port.log(LogLevel.error, line));
      this.#lines = lines;
      port.flushErrors = () => lines.flush();
    }
    this.#lines.write(typeof text === 'string' ? text : String(text));
  }

  writelines(lines: Iterable<string>): void {
    for (const line of lines) this.write(line);
  }

  /** Lines are passed on as they end; an unfinished one follows with flush() or at the end of the request. */
  flush(): void {
    this.#lines?.flush();
  }
}
