/** An exception of Python, as the gateway's own code for errors takes it. */
import type { PythonFault } from './addon.js';

/** `message` is "ValueError: no such thing", `stack` the traceback as Python prints it, '' where it would tell nothing. */
export class PythonError extends Error {
  /** Where it arose in the application; '' and 0 when that is not known. */
  readonly file: string;
  readonly line: number;
  readonly #isPython = true;

  constructor({ summary, traceback, file, line }: PythonFault) {
    super(summary);
    this.stack = traceback;
    this.file = file;
    this.line = line;
  }

  static is(error: object): error is PythonError {
    return #isPython in error;
  }
}

/** Runs no code of `error`, whatever JavaScript threw. */
export function isPythonError(error: unknown): error is PythonError {
  return typeof error === 'object' && error !== null && PythonError.is(error);
}
