/** Answers a request whose Python application failed: the log line, then a page, a failure, or an incomplete end. */
import { pageFor } from '../error-page.js';
import { logText, Problem } from '../errors.js';
import type { CatalogueEntry } from '../errors.js';
import { ABORT_TEXT, placeOf } from '../exchange.js';
import { LogLevel } from '../native.js';
import type { LogLevelNumber, NativeBridge } from '../native.js';
import { titleFor } from '../remedies.js';
import type { PythonAddon, PythonRequestFault } from './addon.js';
import { PythonError } from './error.js';

const TIMED_OUT = 2;

export function problemNamed(name: string): CatalogueEntry | undefined {
  return Object.hasOwn(Problem, name) ? Problem[name as keyof typeof Problem] : undefined;
}

export function answerFailed(bridge: NativeBridge, addon: PythonAddon, token: number, request: PythonRequestFault, versions: string): void {
  const { fault, headSent, abortReason } = request;
  const error = new PythonError(fault);
  const problem = problemNamed(fault.problem) ?? (headSent ? Problem.applicationFailedLate : Problem.applicationFailed);
  const environ = Object.fromEntries(request.variables);
  const place = placeOf({ type: 'auto', script: request.script, callable: request.callable });
  const where = `${place}, ${request.method ?? ''} ${request.uri ?? ''}`;
  const log = (level: LogLevelNumber, text: string): void => {
    if (!addon.log(token, level, text)) bridge.log(0, level, text);
  };
  if (abortReason !== 0 || problem === Problem.clientGone || problem === Problem.pythonTimeout) {
    // Nobody waits for the answer.
    const known = abortReason === TIMED_OUT || problem === Problem.pythonTimeout ? Problem.pythonTimeout : Problem.clientGone;
    log(LogLevel.info, `${known.code} ${ABORT_TEXT[abortReason] || known.title}; the application ended with ${error.message} (${where})`);
    addon.abort(token);
    return;
  }
  log(problem.severity === 'info' ? LogLevel.info : problem.severity === 'warning' ? LogLevel.warning : LogLevel.error, logText(problem, where, error));
  if (headSent || problem === Problem.closeFailed) {
    addon.abort(token);
  } else if (request.developmentPage) {
    const page = pageFor({ problem, error, environ, status: 500, place, language: versions });
    addon.respond(token, page.head, page.body);
  } else {
    addon.fail(token, 500, problem.code, `${titleFor(problem, error)}: ${error.message}`);
  }
}
