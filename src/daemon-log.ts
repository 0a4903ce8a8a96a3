/** Lines of the error log as the processes of a daemon group write them, in httpd's form. Without httpd nobody else does. */
import fs from 'node:fs';
import type { LogLevelNumber } from './native.js';

// Taken now: applications get functions for the descriptors 1 and 2 that lead back here.
const { writeSync } = fs;

const STDERR = 2;
const NAMES = ['emerg', 'alert', 'crit', 'error', 'warn', 'notice', 'info', 'debug'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const ESCAPES: Readonly<Record<string, string>> = { '\b': '\\b', '\t': '\\t', '\v': '\\v', '\r': '\\r' };

/** How often a full pipe is tried again, and for how long in between: the log must not stop a worker for good. */
const TRIES = 50;
const PAUSE_MILLISECONDS = 2;

let least: number = 5;

/** Lines of a higher number (httpd's) are not written. */
export function setLogLevel(level: number): void {
  least = level;
}

/** One entry for each line of the text: `[Sun Nov 22 13:49:42.123456 2026] [nwsgi:error] [pid 123] text`. */
export function formatLog(level: LogLevelNumber, text: string, now: Date = new Date(), pid: number = process.pid): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}.${String(now.getMilliseconds()).padStart(3, '0')}000`;
  const day = `${DAYS[now.getDay()] ?? ''} ${MONTHS[now.getMonth()] ?? ''} ${two(now.getDate())}`;
  const prefix = `[${day} ${time} ${now.getFullYear()}] [nwsgi:${NAMES[level] ?? 'notice'}] [pid ${pid}] `;
  return text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map((line) => `${prefix}${escaped(line)}\n`)
    .join('');
}

/** Control characters would let an entry look like another one, or command a terminal. */
function escaped(line: string): string {
  return line.replace(/[\x00-\x1f\x7f]/g, (character) => ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Writes to the error log at once; never throws, whatever became of it. */
export function writeLog(level: LogLevelNumber, text: string): void {
  if (level <= least) writeEntry(formatLog(level, text));
}

/** The same for what is an entry already. */
export function writeEntry(text: string): void {
  const bytes = Buffer.from(text);
  let at = 0;
  for (let tries = 0; at < bytes.length && tries < TRIES; ) {
    try {
      at += writeSync(STDERR, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      tries += 1;
      pause();
    }
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MILLISECONDS);
}
