/** The error log of a process group: the supervisor's own lines, and what its workers print. */
import { formatLog, writeEntry } from '../daemon-log.js';
import { LogLevel } from '../native.js';
import type { LogLevelNumber } from '../native.js';

export { LogLevel };

const FORMATTED = /^\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] \[nwsgi:/;

export interface Log {
  /** One entry for each line of `text`. `pid`: whose words these are, when not the supervisor's. */
  write(level: LogLevelNumber, text: string, pid?: number): void;
  /** A line that is formatted already. */
  pass(line: string): void;
}

/** A write that took so long met a log that nobody reads. */
const BLOCKED = 80;
/** For so long nothing is written then: workers are not to wait for their supervisor because the log does not move. */
const REST = 1_000;

/**
 * Writes to file descriptor 2, at once; less important lines than `level` are left out. Never throws. A pipe that blocks and is
 * not read stops the supervisor, as it stops httpd itself.
 */
export function errorLog(level: number, write: (entry: string) => void = writeEntry): Log {
  let restUntil = -Infinity;
  let lost = 0;
  const put = (entry: string): void => {
    const begin = performance.now();
    if (begin < restUntil) {
      lost += 1;
      return;
    }
    if (lost > 0) write(formatLog(LogLevel.warning, `${lost} entries were lost: the error log took nothing`));
    lost = 0;
    write(entry);
    const end = performance.now();
    if (end - begin > BLOCKED) restUntil = end + REST;
  };
  return {
    write(lineLevel, text, pid) {
      if (lineLevel <= level) put(formatLog(lineLevel, text, new Date(), pid));
    },
    pass: (line) => put(`${line}\n`),
  };
}

/** True for a line that a worker has formatted itself. */
export const isFormatted = (line: string): boolean => FORMATTED.test(line);
