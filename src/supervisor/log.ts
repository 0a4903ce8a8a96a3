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

/** Writes to file descriptor 2, at once; less important lines than `level` are left out. */
export function errorLog(level: number): Log {
  return {
    write(lineLevel, text, pid) {
      if (lineLevel <= level) writeEntry(formatLog(lineLevel, text, new Date(), pid));
    },
    pass: (line) => writeEntry(`${line}\n`),
  };
}

/** True for a line that a worker has formatted itself. */
export const isFormatted = (line: string): boolean => FORMATTED.test(line);
