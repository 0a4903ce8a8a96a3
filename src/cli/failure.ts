/** How the command ends when it cannot do what it was asked to. */

/** Exit codes, documented in docs/serve.md. */
export const ExitCode = {
  ok: 0,
  /** Something outside of the command line: an address in use, a file that is not there, a missing permission. */
  failure: 1,
  usage: 2,
  /** The application did not load at the start. */
  application: 3,
} as const;

/** Ends the command with one line for the person who typed it. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, message: string, exitCode: number = ExitCode.failure) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** What was typed makes no sense. */
export const usageError = (message: string): CliError => new CliError('NWSGI4301', message, ExitCode.usage);
