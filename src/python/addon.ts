/** What nwsgi_python_<version>.node exports; see native/python_addon/addon.cc. All on the thread of the environment. */
import type { LogLevelNumber } from '../native.js';

/** Version of this interface; as kPythonAbi in native/python_addon/addon.cc. */
export const PYTHON_ABI = 1;

/** As HostOptions in native/python/host.h. */
export interface PythonHostOptions {
  /** Folder of the Python part (nwsgi_host). */
  library: string;
  /** sys.executable. */
  executable: string;
  /** Prefix of an installation that is no virtual environment; '' otherwise. */
  home: string;
  path: string[];
  warnings: string[];
  hashSeed: string;
  optimize: number;
  dontWriteBytecode: boolean;
  /** Seconds; 0 for Python's own. */
  switchInterval: number;
  restrictStdin: boolean;
  restrictStdout: boolean;
  restrictSignal: boolean;
  ownGil: boolean;
  destroyInterpreter: boolean;
  processGroup: string;
  version: string;
  serverSoftware: string;
  threads: number;
  processes: number;
  /** Milliseconds. */
  interruptTime: number;
}

export interface PythonScript {
  /** '' for the main interpreter. */
  interpreter: string;
  applicationGroup: string;
  /** In the file system's bytes, as latin-1. */
  path: string;
  callable: string;
  /** See Instructions.environment in record.ts. */
  environment: string;
  callableNeeded: boolean;
}

/** As Fault in native/python/host.h. */
export interface PythonFault {
  /** A key of Problem in errors.ts. */
  problem: string;
  /** "ValueError: no such thing" */
  summary: string;
  /** As Python prints it; '' when it would tell nothing. */
  traceback: string;
  /** Of the innermost frame of the application; '' and 0 when it is not known. */
  file: string;
  line: number;
}

/** A request whose application failed; it waits for its answer. */
export interface PythonRequestFault {
  fault: PythonFault;
  script: string;
  callable: string;
  headSent: boolean;
  method?: string;
  uri?: string;
  developmentPage: boolean;
  /** As NativeBridge.abortReason. */
  abortReason: number;
  /** Of the environ, for the page. */
  variables: [name: string, value: string][];
}

export interface PythonEvents {
  /** What became of {@link PythonAddon.load}; 0 and a fault when the script did not load. */
  loaded(ticket: number, application: number, fault: PythonFault | null): void;
  /** A request waits for {@link PythonAddon.respond}, `fail` or `abort`. */
  fault(token: number, request: PythonRequestFault): void;
  /** Nothing is in progress any more; once after {@link PythonAddon.inFlight} had returned more than 0. */
  over(): void;
  /** {@link Pumps.take} has something for this request. */
  serve(token: number): void;
  /** A line that belongs to no request. */
  log(level: LogLevelNumber, text: string): void;
  /** A thread has not come back although its request timed out. */
  stuck(where: string, stack: string): void;
}

/** As OutputItem::Kind in native/exchange/work.h. */
export const ItemKind = { head: 0, data: 1, file: 2, interim: 3, upgrade: 4, trailers: 5, log: 6 } as const;
/** As End in native/exchange/work.h. */
export const PumpEnd = { open: 0, complete: 1, aborted: 2, failed: 3 } as const;

export type PumpItem =
  | { kind: typeof ItemKind.head | typeof ItemKind.interim | typeof ItemKind.upgrade | typeof ItemKind.trailers; text: string }
  | { kind: typeof ItemKind.data; data: Buffer }
  /** The descriptor is open until the next call of take() or finish(). */
  | { kind: typeof ItemKind.file; fd: number; offset: number; length: number }
  | { kind: typeof ItemKind.log; level: LogLevelNumber; text: string };

export interface PumpWork {
  items: PumpItem[];
  bodyWanted: boolean;
  end: number;
  /** Of a failure. */
  status?: number;
  code?: string;
  message?: string;
  logged?: boolean;
}

/** Requests of a server that is written in JavaScript: what a serving thread does otherwise; see native/python_addon/pumps.h. */
export interface Pumps {
  /** `record` with one code unit for each byte. Returns the token by which the request is named. */
  open(application: number, record: string, hasBody: boolean): number;
  take(token: number): PumpWork | null;
  /** Bytes of the body that there is room for. */
  room(token: number): number;
  push(token: number, bytes: Uint8Array): void;
  endBody(token: number): void;
  failBody(token: number, message: string): void;
  /** So many bytes of the response were passed on. */
  written(token: number, bytes: number): void;
  /** `reason` as NativeBridge.abortReason. */
  abort(token: number, reason: number): void;
  /** The last call. */
  finish(token: number): void;
}

export interface PythonAddon {
  readonly abi: number;
  /** Of the CPython that it is built for: "3.11". */
  readonly version: string;
  /**
   * Starts CPython at the first call in the process. From now on requests of {@link route}d applications go to Python's
   * threads without the loop. Returns the full version.
   *
   * @throws Error with the reason
   */
  start(seam: unknown, options: PythonHostOptions, events: PythonEvents): string;
  load(ticket: number, script: PythonScript): void;
  /** Requests whose record begins with this target go to the application at once. */
  route(target: string, application: number): void;
  /** Gives a request that the loop has got to the application; its handle is invalid then. */
  begin(application: number, handle: number): void;
  release(application: number): void;

  // Each answers the failed request, which is forgotten.
  respond(token: number, head: string, body: string): void;
  fail(token: number, status: number, code: string, message: string): void;
  abort(token: number): void;
  /** Before that; false when no server listens any more. */
  log(token: number, level: LogLevelNumber, text: string): boolean;

  readonly pumps: Pumps;

  /** Requests of this environment that are in progress; not those that a thread is still busy with although nobody awaits their answer. */
  inFlight(): number;
  /** Milliseconds since when no thread has got the interpreter's lock; 0 when nobody waits for it. */
  stalled(): number;
  /** The process ends: blocks at most so long. False when Python has not ended then. */
  stop(reason: string, milliseconds: number): boolean;
}
