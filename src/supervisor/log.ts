/** The error log: lines in httpd's format on a descriptor, written at once, in the order of the calls. */
import { writeSync } from 'node:fs';
import { LogLevel } from '../native.js';

export { LogLevel };

const NAMES = ['emerg', 'alert', 'crit', 'error', 'warn', 'notice', 'info', 'debug', 'trace1', 'trace2', 'trace3', 'trace4', 'trace5', 'trace6', 'trace7', 'trace8'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const FORMATTED = /^\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] \[nwsgi:/;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;
/** A log that takes nothing for so long loses lines rather than keep the supervisor from its work. */
const LONGEST_BLOCK = 1_000;
const PAUSE = 5;

export interface Log {
  /** One entry for each line of `text`. `pid`: whose words these are, when not the supervisor's. */
  write(level: number, text: string, pid?: number): void;
  /** A line that is formatted already. */
  pass(line: string): void;
}

export class ErrorLog implements Log {
  readonly #fd: number;
  readonly #level: number;

  constructor(level: number, fd = 2) {
    this.#level = level;
    this.#fd = fd;
  }

  write(level: number, text: string, pid = process.pid): void {
    if (level > this.#level) return;
    const prefix = `[${timeText(new Date(), performance.timeOrigin + performance.now())}] [nwsgi:${NAMES[level] ?? 'error'}] [pid ${pid}] `;
    this.#put(text.split(/\r?\n/).map((line) => prefix + escapeControls(line)).join('\n') + '\n');
  }

  pass(line: string): void {
    this.#put(`${escapeControls(line)}\n`);
  }

  #put(text: string): void {
    let rest = Buffer.from(text);
    const end = performance.now() + LONGEST_BLOCK;
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest));
      } catch (error) {
        // EAGAIN: a pipe that is full. Anything else: there is no log, and nobody to tell.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() > end) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
      }
    }
  }
}

/** True for a line that a worker has formatted as {@link ErrorLog} does. */
export const isFormatted = (line: string): boolean => FORMATTED.test(line);

/** "Sun Nov 22 13:31:22.969012 2026"; `now`: milliseconds since 1970 with fractions, for the microseconds. */
export function timeText(date: Date, now: number): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const micros = String(date.getMilliseconds() * 1000 + Math.floor((now % 1) * 1000)).padStart(6, '0');
  return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${micros} ${date.getFullYear()}`;
}

/** As httpd does: nobody's terminal takes orders from what an application logs. */
function escapeControls(line: string): string {
  return line.replace(CONTROL, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
