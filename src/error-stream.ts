/** `wsgi.errors`: whole lines go to the request's error log, so that requests never mix within a line (W-61…W-64). */
import { LogLevel } from './native.js';
import type { LogLevelNumber } from './native.js';
import type { ErrorStream } from './types.js';

/** Longer lines are cut: the log must not buffer without bounds. */
const LONGEST_LINE = 8192;

/** Collects text and passes on whole lines without their `\n`. */
export class LineBuffer {
  #sink: (line: string) => void;
  #pending = '';

  constructor(sink: (line: string) => void) {
    this.#sink = sink;
  }

  write(text: string): void {
    let rest = this.#pending === '' ? text : this.#pending + text;
    for (;;) {
      const newline = rest.indexOf('\n');
      if (newline < 0 || newline > LONGEST_LINE) {
        if (rest.length <= LONGEST_LINE) break;
        this.#sink(rest.slice(0, LONGEST_LINE));
        rest = rest.slice(LONGEST_LINE);
        continue;
      }
      const end = newline > 0 && rest.charCodeAt(newline - 1) === 13 ? newline - 1 : newline;
      this.#sink(rest.slice(0, end));
      rest = rest.slice(newline + 1);
    }
    this.#pending = rest;
  }

  flush(): void {
    if (this.#pending === '') return;
    const rest = this.#pending;
    this.#pending = '';
    this.#sink(rest);
  }
}

/** What the stream needs of its request. */
export interface LogPort {
  log(level: LogLevelNumber, text: string): void;
  onRelease: (() => void) | undefined;
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
      port.onRelease = () => lines.flush();
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
