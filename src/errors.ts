/**
 * The gateway's error codes. A code is allocated once and keeps its meaning; docs/errors.md is checked against this
 * table by a test. Texts are for the person who reads the log.
 */
import { inspect, types } from 'node:util';
import { isPythonError } from './python/error.js';
import { remedyFor, titleFor } from './remedies.js';

export type Severity = 'critical' | 'error' | 'warning' | 'info';

export interface CatalogueEntry {
  readonly code: string;
  readonly title: string;
  readonly severity: Severity;
  readonly cause: string;
  readonly outcome: string;
  readonly remedy: string;
}

function entry(
  code: string,
  severity: Severity,
  title: string,
  cause: string,
  outcome: string,
  remedy: string,
): CatalogueEntry {
  return Object.freeze({ code, title, severity, cause, outcome, remedy });
}

const RESPONSE_500 = 'Nothing was sent: status 500. Otherwise the connection is closed so that the response looks incomplete.';
const THROWN_IN_APPLICATION = 'The error is thrown inside the application, which may still answer. If it does not catch it: status 500.';

export const Problem = {
  bridgeMismatch: entry(
    'NWSGI2001', 'critical', 'The gateway and the native module are of different versions',
    'dist/ and the shared objects of nwsgi come from two builds.',
    'The environment does not start; its requests get status 500.',
    'Install or build both from one version of nwsgi, then restart Apache.',
  ),
  bootstrapFailed: entry(
    'NWSGI2002', 'critical', 'The gateway could not start',
    'A file of nwsgi is missing or unreadable, or Node is older than 18.',
    'The environment does not start; its requests get status 500.',
    'Read the error that follows the code; reinstall nwsgi if a module of it was not found.',
  ),
  preloadFailed: entry(
    'NWSGI2003', 'error', 'A script did not load when its environment was started',
    'A script that is loaded before its first request failed: one of WSGIImportScript or of a mount with both groups, or the new version of a changed script.',
    'The environment serves its other scripts; requests for this one get status 500.',
    'Correct the script; the log line before this one has the reason.',
  ),
  gatewayFault: entry(
    'NWSGI2004', 'critical', 'The gateway itself failed',
    'A fault in nwsgi.',
    'Status 500, or an incomplete response, for this request; the others are not affected.',
    'Please report it, with the stack trace that follows.',
  ),
  scriptMissing: entry(
    'NWSGI2101', 'error', 'The script does not exist or cannot be read',
    'The file that WSGIScriptAlias names is not there or may not be read by the user of the process.',
    'Status 404. It is looked for again with the next request.',
    'Create the file, correct the path in WSGIScriptAlias, or give the user read access to the file and its directories.',
  ),
  scriptFailed: entry(
    'NWSGI2102', 'error', 'The script failed while it was loaded',
    'A syntax error, a module that was not found, or an exception at the top level of the script.',
    'Status 500 for all requests that wait for the script.',
    'Remove the cause. The script is loaded again, in a fresh environment, when it changed or after a pause.',
  ),
  callableMissing: entry(
    'NWSGI2103', 'error', 'The script does not export the application callable',
    'The export is missing, has another name, or is not a function (a class cannot be called either).',
    'Status 500.',
    'Export a function of that name, e.g. `export function application(environ, startResponse)`, or set WSGICallableObject to the name that the script exports. A Node application calls listen(), or exports its handler by default.',
  ),
  typeScriptFailed: entry(
    'NWSGI2104', 'error', 'A TypeScript file could not be converted',
    'A syntax error, or a syntax that only the TypeScript compiler knows.',
    'Status 500 for all requests that wait for the script.',
    'Correct the file, or compile it with tsc and serve the JavaScript file.',
  ),
  nothingToServe: entry(
    'NWSGI2105', 'error', 'The script has no application',
    'It exports no callable, no function and no object with fetch, and no HTTP server of it began to listen.',
    'Status 500 for all requests that wait for the script.',
    'Let the script call listen(), or export one of: `application` (WSGI), a default function (req, res), an object with fetch(request).',
  ),
  misfit: entry(
    'NWSGI2106', 'error', 'The script exports something that is not an application',
    'The export looks like an application, but it cannot be called as it is: a class, an object of a framework, a value of the wrong type.',
    'Status 500 for all requests that wait for the script.',
    'The message says what would work.',
  ),
  notListening: entry(
    'NWSGI2107', 'error', 'No server of the application listens',
    'The application closed its server and has not called listen() again.',
    'Status 503 until a server listens.',
    'Call listen() again, or process.exit() to be replaced by a fresh environment.',
  ),
  plainServer: entry(
    'NWSGI2108', 'info', 'A server that does not speak HTTP listens by itself',
    'The application called listen() on a server of node:net or node:tls. Apache cannot serve it, so the port or path is really opened.',
    'None. Each process of Apache that runs the application tries to open it; all but the first fail with EADDRINUSE.',
    'None if that is what the application is meant to do. Otherwise leave the server out under Apache.',
  ),
  clusterFork: entry(
    'NWSGI2109', 'warning', 'cluster.fork() starts nothing',
    'The application wants to start worker processes. Apache has the processes here: each runs the application by itself.',
    'The workers never come online; cluster.isPrimary stays true.',
    'Start the server where cluster.isPrimary is true, and set the number of processes in the configuration of Apache.',
  ),
  privileges: entry(
    'NWSGI2110', 'error', 'A call would change the process of the server',
    'The application called process.setuid(), setgid(), initgroups(), abort() or the like. The process belongs to Apache and to other applications.',
    'The call throws an error with the code ERR_WORKER_UNSUPPORTED_OPERATION.',
    'Leave the call out; User and Group of Apache say who runs applications.',
  ),
  rawBytes: entry(
    'NWSGI2111', 'error', 'The application wrote to the socket of a request',
    'It called write() or end() of req.socket before or instead of the response. The connection belongs to Apache, which may carry other requests on it.',
    'Status 500.',
    'Answer with the response object. Protocols of one\'s own begin with a request to upgrade, in an "upgrade" listener.',
  ),
  applicationFailed: entry(
    'NWSGI2201', 'error', 'The application threw an exception',
    'An exception left the callable, or the iterable it returned, before anything was sent.',
    'Status 500.',
    'The stack trace follows. Catch the error in the application, or correct its cause.',
  ),
  applicationFailedLate: entry(
    'NWSGI2202', 'error', 'The application threw an exception after the response had begun',
    'An exception left the iterable when status and headers had already been sent.',
    'The connection is closed: the client can see that the response is incomplete.',
    'The stack trace follows. Catch the error in the application, or correct its cause.',
  ),
  notStarted: entry(
    'NWSGI2203', 'error', 'The application did not call startResponse',
    'The first non-empty block, or the end of the response, came before startResponse(status, headers).',
    'Status 500.',
    'Call startResponse before the first block is returned, yielded or written.',
  ),
  badResult: entry(
    'NWSGI2204', 'error', 'The application returned something that is not an iterable of blocks',
    'A WSGI callable returns an array, an iterable or an async iterable of Uint8Array or strings. A bare string, a bare Uint8Array, undefined and other values are refused.',
    'Status 500.',
    'Return an array: `return [body]`. A callable without a return statement returns undefined.',
  ),
  badChunk: entry(
    'NWSGI2205', 'error', 'A block of the response is neither a Uint8Array nor a string',
    'The array or iterable of the application contained another type.',
    RESPONSE_500,
    'Convert the value, e.g. with JSON.stringify() or Buffer.from().',
  ),
  badStatus: entry(
    'NWSGI2206', 'error', 'startResponse got an invalid status',
    'The status is not a string of three digits, a space and a reason, or it has characters that HTTP forbids. 1xx cannot be a final status.',
    THROWN_IN_APPLICATION,
    'Pass a string such as "200 OK".',
  ),
  badHeaders: entry(
    'NWSGI2207', 'error', 'startResponse got invalid headers',
    'The headers are not an array of [name, value] arrays of strings, a name is not an HTTP token, a value has control characters or characters above U+00FF, Content-Length is no number or is there twice, or the header belongs to the server (hop-by-hop headers, Status).',
    THROWN_IN_APPLICATION,
    'Correct the header that the message names. Values with other characters have to be encoded first.',
  ),
  startedTwice: entry(
    'NWSGI2208', 'error', 'startResponse was called twice',
    'A second call is allowed only with the error that made it necessary as third argument.',
    THROWN_IN_APPLICATION,
    'Call startResponse once, or pass the caught error as third argument to replace an answer that was not sent yet.',
  ),
  tooLate: entry(
    'NWSGI2209', 'error', 'The request is already over',
    'startResponse, write or wsgi.input was used after the response had ended.',
    'The call throws; no other request is touched.',
    'Finish all work on the request before the iterable of the response ends; await every promise.',
  ),
  shortBody: entry(
    'NWSGI2210', 'error', 'The body is shorter than its Content-Length',
    'The application announced more bytes than it delivered.',
    RESPONSE_500,
    'Compute Content-Length from the bytes (Buffer.byteLength), not from the characters, or leave it out.',
  ),
  longBody: entry(
    'NWSGI2211', 'error', 'write() got more bytes than Content-Length allows',
    'The application announced fewer bytes than it delivered.',
    'The bytes above Content-Length are dropped and write() throws.',
    'Compute Content-Length from the bytes (Buffer.byteLength), not from the characters, or leave it out.',
  ),
  closeFailed: entry(
    'NWSGI2212', 'error', 'close() of the response iterable threw an exception',
    'The application\'s close(), or the return() of its iterator, failed.',
    'None for the client: the response was complete.',
    'The stack trace follows. Correct close().',
  ),
  badRecord: entry(
    'NWSGI2213', 'error', 'The request record is malformed',
    'The native module and the gateway disagree about the encoding of requests.',
    'Status 500.',
    'Install or build both from one version of nwsgi. Report it if they are.',
  ),
  clientGone: entry(
    'NWSGI2214', 'info', 'The request was aborted',
    'The client closed the connection, the request took longer than allowed, or the server stops.',
    'write() and reads of wsgi.input throw; iteration stops and close() is called.',
    'None. environ["nwsgi.signal"] tells an application early.',
  ),
  badFile: entry(
    'NWSGI2215', 'error', 'wsgi.file_wrapper got something it cannot read',
    'The source has no read(size) and is neither a stream, an iterable nor an open file.',
    THROWN_IN_APPLICATION,
    'Pass a file handle of fs/promises, a Readable, an object with read(size), or an open descriptor.',
  ),
  noResponse: entry(
    'NWSGI2231', 'error', 'The fetch handler did not return a Response',
    'The function `fetch` of the application returned something else, most often undefined because a route or a `return` is missing.',
    'Status 500.',
    'Return a Response, or a promise of one, for every request.',
  ),
  badResponse: entry(
    'NWSGI2232', 'error', 'The Response cannot be sent',
    'It is Response.error(), or its status, status text or a header has a value that HTTP forbids.',
    'Status 500.',
    'Correct what the message names. Header values with characters above U+00FF or control characters have to be encoded first.',
  ),
  usedResponse: entry(
    'NWSGI2233', 'error', 'The body of the Response was already used',
    'The handler read the body of the Response, or returned the same Response for two requests.',
    'Status 500.',
    'Return `response.clone()`, or make a Response for each request.',
  ),
  wrongLength: entry(
    'NWSGI2234', 'error', 'The body of the Response has not the length that its Content-Length tells',
    'The handler announced more or fewer bytes than it delivered.',
    RESPONSE_500,
    'Leave Content-Length out: it is added where the length is known. Do not pass on that of a response whose body is changed.',
  ),
  backgroundFailed: entry(
    'NWSGI2235', 'error', 'A promise given to waitUntil() was rejected',
    'Work that the handler left for after the response failed.',
    'None for the client.',
    'The stack trace follows. Catch the error in the application, or correct its cause.',
  ),
  inputFailed: entry(
    'NWSGI2301', 'error', 'The request body could not be read',
    'The client ended the connection before the announced end of the body, or sent a malformed body.',
    'The read rejects, and every later one too.',
    'Answer with status 400, or let the error leave the application.',
  ),
  uncaughtException: entry(
    'NWSGI2401', 'critical', 'An exception was not caught',
    'An exception was thrown from a callback (a timer, an event) where no request could catch it.',
    'The environment ends, as a Node process would; its requests in flight get status 500, or an incomplete response. A fresh one takes over.',
    'The stack trace follows. Handle the error where it arises, e.g. with an "error" listener.',
  ),
  unhandledRejection: entry(
    'NWSGI2402', 'critical', 'A promise was rejected and nobody handled it',
    'A promise without await or catch was rejected.',
    'The environment ends, as a Node process would; its requests in flight get status 500, or an incomplete response. A fresh one takes over.',
    'The stack trace follows. Await the promise, or add a catch().',
  ),
  stoppedInFlight: entry(
    'NWSGI2403', 'warning', 'The environment ends with requests in flight',
    'The time for an orderly end was over before all requests were.',
    'These requests get status 503, or an incomplete response.',
    'Let long responses end when environ["nwsgi.signal"] is aborted, or raise graceful-timeout.',
  ),
  exitFailed: entry(
    'NWSGI2404', 'error', 'A listener for the end of the environment threw an exception',
    'A listener for "SIGTERM" or "exit" failed.',
    'None: the environment ends anyway.',
    'The stack trace follows. Correct the listener.',
  ),
  violation: entry(
    'NWSGI2501', 'error', 'The WSGI validator found a violation',
    'The application, a middleware or the server broke a rule of PEP 3333 while validator() was in use.',
    'The error is thrown where the rule was broken.',
    'The message names the rule. Remove validator() in production.',
  ),
  pythonMissing: entry(
    'NWSGI2601', 'error', 'There is no Python for the script',
    'nwsgi was not built for the Python that python-home or WSGIPythonHome names (or for that of the system), or its libpython cannot be loaded.',
    'Status 500 for all requests that wait for the script.',
    'The message says what to install. Debian has the headers and the library of its Python in python3-dev; `npm run build` builds for every Python that it finds.',
  ),
  pythonVersion: entry(
    'NWSGI2602', 'error', 'Another Python runs in this process already',
    'Another module of the server (mod_wsgi, mod_python) or an application has started a Python of its own.',
    'Status 500 for all requests that wait for the script.',
    'Take the other module out of the configuration, or run the application in a process group of its own (WSGIDaemonProcess).',
  ),
  pythonStart: entry(
    'NWSGI2603', 'error', 'Python did not start',
    'The standard library was not found (a wrong python-home), or an option was refused.',
    'Status 500 for all requests that wait for the script.',
    'Read the message; check python-home, which is the folder above bin/python3, and PYTHONHOME in the environment of the server.',
  ),
  pythonExit: entry(
    'NWSGI2604', 'error', 'The application called sys.exit()',
    'SystemExit left the script while it was loaded, or the application.',
    'Status 500. The process goes on: it has other requests and applications.',
    'Do not call sys.exit() or exit() in a web application; raise an exception, or answer with an error.',
  ),
  pythonForked: entry(
    'NWSGI2605', 'error', 'A process that the application forked came back',
    'The application called os.fork(), and the child went on as if the request were its own.',
    'The child process ends with status 70. The request is answered by the parent.',
    'Let the child end by os._exit(), or start programs by subprocess.',
  ),
  pythonTimeout: entry(
    'NWSGI2606', 'info', 'The request took too long and was interrupted',
    'request-timeout was over; mod_wsgi.RequestTimeout was raised in the thread that ran it.',
    'Status 504. The process goes on.',
    'Make the application faster, give it time-outs for what it waits for, or raise request-timeout.',
  ),
  pythonStuck: entry(
    'NWSGI2607', 'error', 'A thread of Python does not come back',
    'A request took longer than request-timeout, and the exception that was raised in its thread did not arrive within interrupt-timeout: it waits in C code or in the system.',
    'Status 504 for the request. In a process group the worker is replaced; in a process of Apache the thread is lost until it comes back.',
    'The stack shows where it is. Give time-outs to sockets, database connections and locks.',
  ),
  pythonSignal: entry(
    'NWSGI2608', 'warning', 'A signal handler was not registered',
    'The application called signal.signal(). Signals belong to the server.',
    'The call does nothing.',
    'Leave the call out. WSGIRestrictSignal Off lets it through, at the risk that the server cannot be stopped any more.',
  ),
  pythonStdin: entry(
    'NWSGI2609', 'error', 'A stream of the process is restricted',
    'The application read sys.stdin (input(), a debugger) or wrote to sys.stdout while WSGIRestrictStdin or WSGIRestrictStdout is on.',
    'The call raises an exception.',
    'A web application has no terminal: read wsgi.input, write to sys.stderr or to logging.',
  ),
  pythonStalled: entry(
    'NWSGI2610', 'warning', 'Python stands still',
    'C code of an extension module has held the lock of the interpreter for more than a second: no other thread of Python can run.',
    'All requests of that interpreter wait. In a process group the worker is replaced after deadlock-timeout.',
    'Find the module that works without releasing the lock; give it smaller pieces, or processes of its own.',
  ),
} as const;

export const errorCatalogue: readonly CatalogueEntry[] = Object.freeze(Object.values(Problem));

/** An error of the gateway; `code` is listed in docs/errors.md. */
export class NwsgiError extends Error {
  readonly code: string;
  readonly #problem: CatalogueEntry;

  constructor(problem: CatalogueEntry, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = problem === Problem.clientGone ? 'AbortError' : 'NwsgiError';
    this.code = problem.code;
    this.#problem = problem;
  }

  static problemOf(error: object): CatalogueEntry | undefined {
    return #problem in error ? error.#problem : undefined;
  }
}

/** Like {@link NwsgiError}, for a value of the wrong type or form. */
export class NwsgiTypeError extends TypeError {
  readonly code: string;
  readonly #problem: CatalogueEntry;

  constructor(problem: CatalogueEntry, message: string) {
    super(message);
    this.code = problem.code;
    this.#problem = problem;
  }

  static problemOf(error: object): CatalogueEntry | undefined {
    return #problem in error ? error.#problem : undefined;
  }
}

/** The catalogue entry that an error carries, if it is one of the gateway's. Runs no code of the thrown value. */
export function problemOf(error: unknown): CatalogueEntry | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  return NwsgiError.problemOf(error) ?? NwsgiTypeError.problemOf(error);
}

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

/** `Name: message`, for any thrown value. Never throws. */
export function summary(error: unknown): string {
  try {
    if (problemOf(error) !== undefined || isPythonError(error)) return (error as Error).message;
    return isError(error) ? `${String(error.name)}: ${String(error.message)}` : `${inspect(error, { depth: 1, breakLength: Infinity })} (not an Error)`;
  } catch {
    return 'a value that cannot be shown';
  }
}

/** The stack, with the chain of causes. Never throws. */
export function stackOf(error: unknown): string {
  const parts: string[] = [];
  try {
    let current = error;
    for (let depth = 0; depth < 5 && isError(current); depth++) {
      const text = typeof current.stack === 'string' ? current.stack : summary(current);
      parts.push(depth === 0 ? text : `caused by: ${text}`);
      if (current instanceof AggregateError) {
        for (const inner of current.errors.slice(0, 5)) parts.push(`one of: ${isError(inner) ? inner.stack : summary(inner)}`);
      }
      current = current.cause;
    }
  } catch {
    // A getter of the application threw; what was collected so far has to do.
  }
  return parts.length > 0 ? parts.join('\n') : summary(error);
}

/** Errors of the gateway whose stack shows nothing but the gateway. */
const WITHOUT_STACK: ReadonlySet<CatalogueEntry> = new Set([
  Problem.scriptMissing, Problem.callableMissing, Problem.nothingToServe, Problem.misfit, Problem.notListening, Problem.typeScriptFailed,
  Problem.rawBytes, Problem.notStarted, Problem.badResult, Problem.badChunk, Problem.shortBody,
  Problem.pythonMissing, Problem.pythonVersion, Problem.pythonStart,
  Problem.badRecord, Problem.clientGone, Problem.noResponse, Problem.badResponse, Problem.usedResponse, Problem.wrongLength,
]);

/** The `code` of an error that came from another thread as a copy. */
export function codeOf(error: unknown): unknown {
  try {
    return isError(error) && 'code' in error ? error.code : undefined;
  } catch {
    return undefined;
  }
}

/** False when the stack of `error` shows nothing but the gateway. */
export function hasTellingStack(problem: CatalogueEntry, error: unknown): boolean {
  if (isPythonError(error)) return error.stack !== '';
  return !WITHOUT_STACK.has(problemOf(error) ?? problem);
}

/** A log line: code, what happened, where, what to do; then the stack. */
export function logText(problem: CatalogueEntry, where: string, error?: unknown): string {
  const detail = error === undefined ? problem.title : `${titleFor(problem, error)}: ${summary(error)}`;
  const line = `${problem.code} ${detail} (${where}). ${remedyFor(problem, error)}`;
  return error === undefined || !hasTellingStack(problem, error) ? line : `${line}\n${stackOf(error)}`;
}
