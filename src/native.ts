/**
 * The only file that touches the native bridge. Everything else in the gateway depends on the {@link NativeBridge}
 * interface and can be given another implementation in a unit test.
 *
 * All functions are called on the thread of the environment. Handles are numbers that name one request of this
 * environment; a handle whose request is over is recognised (slot and generation), so a late call returns
 * {@link OVER} and can never touch another request.
 */
import type { PythonAddon } from './python/addon.js';
import type { ApplicationType } from './record.js';

/** Event bits of one envelope; they may be combined. Same values as `exchange::Event` in native/exchange/exchange.h. */
export const Event = {
  /** A new request: `offset` and `length` say where its record lies. */
  Request: 1,
  /** {@link NativeBridge.read} has something new: bytes, the end or an error. */
  Body: 2,
  /** Queued output fell below the low-water mark; writing may go on. */
  Writable: 4,
  /** The client left or the server gave up; see {@link NativeBridge.abortReason}. */
  Aborted: 8,
  /** Together with Request: a body was announced. */
  HasBody: 16,
} as const;

/** A call came too late: the request is over. */
export const OVER = -1;
/** `write` results above this many bytes ask the caller to wait for {@link Event.Writable}. */
export const HIGH_WATER = 128 * 1024;

/** Results of {@link NativeBridge.read} that are not bytes. */
export const ReadPending = 0;
export const ReadEnd = 1;
export const ReadError = 2;

/** Log levels, httpd's numbers. */
export const LogLevel = { critical: 2, error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;
export type LogLevelNumber = (typeof LogLevel)[keyof typeof LogLevel];

/** Number of values that one envelope takes: handle, events, offset, length. */
export const ENVELOPE_STRIDE = 4;

export interface NativeBridge {
  /** Version of this interface; {@link BRIDGE_ABI}. */
  readonly abi: number;
  /** JSON text of {@link BridgeConfig}. */
  readonly config: string;
  /** For add-ons that serve requests by threads of their own; see native/exchange/bridge_seam.h. */
  readonly seam?: unknown;
  /**
   * Registers the turn callback. Native code writes the records of up to 64 requests into `records` and one envelope
   * of {@link ENVELOPE_STRIDE} numbers for each into `envelopes`, then calls `onTurn(count)`. `offset` is -1 for a
   * record too large for `records`: fetch it with {@link record}. `onTurn` must not throw. Called again at once while more is queued,
   * at most a few times before the event loop runs on.
   */
  attach(records: Uint8Array, envelopes: Float64Array, onTurn: (count: number) => void): void;
  /** The record of a request as a latin-1 string; '' when it is over. */
  record(handle: number): string;

  /** Head, one optional block and the end in one call. A string is sent as UTF-8. 0, or OVER. */
  respond(handle: number, head: string, body?: Uint8Array | string): number;
  /**
   * Hands over the head: `"200 OK\nName:value\n"`, or HTTP text (`"HTTP/1.1 200 OK\r\nName: value\r\n\r\n"`); latin-1,
   * already validated. HTTP text also says that the application knows of ranges: the server makes no part of its answer. Headers
   * that belong to the connection are left out; `Connection: close` closes it after the
   * response. 0, or OVER.
   */
  head(handle: number, head: string): number;
  /** Queues one block (copied). Returns the bytes queued and not yet written, or OVER. */
  write(handle: number, chunk: Uint8Array | string): number;
  /** Queues `length` bytes of a file from `offset` (descriptor is duplicated; -1 for offset: its current position; -1 for length: to its end). Returns the bytes that will be sent, or OVER; throws when the descriptor cannot be used. */
  sendFile(handle: number, fd: number, offset: number, length: number): number;
  /** Size in bytes and current position of a regular file, or null if `fd` is none. */
  fileInfo(fd: number): { size: number; position: number } | null;
  /** Sends a 1xx response but 101, packed like a head; 100 only while the client waits for it. 0, or OVER. */
  interim(handle: number, head: string): number;
  /**
   * Sends "101 Switching Protocols" with the headers of this head (packed as for {@link head}; its status line is not
   * used). From then on {@link read} gives the client's raw bytes and ReadEnd when the client closed its side,
   * {@link write} sends bytes as they are, with the same events and marks; {@link end} closes the sending side (the
   * application may go on reading until the client closes, at most 30 s; over TLS and HTTP/2 reading may end, too), {@link abort}
   * closes at once, also after `end`. HTTP/2 clients (extended CONNECT) see the same. 0, or OVER, also after a head.
   */
  upgrade(handle: number, head: string): number;
  /**
   * Lines `"Name:value\n"` to send after the body, before {@link end}. They reach clients of HTTP/2 and those that get a
   * chunked response of HTTP/1.1; others get the response without them. 0, or OVER.
   */
  trailers(handle: number, lines: string): number;
  /** The request's trailers, `"Name:value\n"`, once {@link read} returned ReadEnd; '' without any. */
  requestTrailers(handle: number): string;
  /** The response is complete. 0, or OVER. */
  end(handle: number): number;
  /** The response stays incomplete and will look so to the client. 0, or OVER. */
  abort(handle: number): number;
  /** No head was sent: the server answers with `status` and its own error page; it logs nothing, the caller has. 0, or OVER. */
  fail(handle: number, status: number, code: string, message: string): number;
  /** Every request has to be released once the gateway has no more use for the handle; it is invalid from then on. */
  release(handle: number): void;

  /** Body bytes (at most `most`), or ReadPending / ReadEnd / ReadError. */
  read(handle: number, most: number): Uint8Array | number;
  /** Why `read` returned ReadError. */
  bodyError(handle: number): string;
  /** 0 not aborted, 1 the client left, 2 request time-out, 3 the server stops. */
  abortReason(handle: number): number;

  /** Writes to the request's error log; handle 0: to the log of the site. */
  log(handle: number, level: LogLevelNumber, text: string): void;

  /** All preloads are done, `failure` names what did not load ('' for none). */
  ready(failure: string): void;
  /** A script did not load: the environment is replaced when it is asked for again after a pause, or when the file changes. */
  loadFailed(script: string): void;
  /**
   * The script is to be watched: when its file changes, a fresh environment replaces this one. Called before the file
   * is read, so that a change during the load counts; also for a script that then does not load. The other environment
   * finds it, as described here, among its {@link BridgeConfig.preload}.
   */
  watch(script: string, callable: string, type: ApplicationType, environment: string): void;
  /** The same for a script that is not reloaded: whoever replaces this process loads it ahead of the first request. Not in every host. */
  remember?(script: string, callable: string, type: ApplicationType, environment: string): void;
  /**
   * Changes the working directory of this environment; 0, or an errno. Only where {@link BridgeConfig.ownDirectory} is true:
   * it would be everybody's. libuv's thread pool, on which asynchronous file system calls run, keeps the server's.
   */
  changeDirectory(path: string): number;
  /** Python runs in this process from now on. Not in every host. */
  pythonStarted?(python: Pick<PythonAddon, 'stalled'>): void;
  /** C code holds the lock of Python's interpreter, or does so no more. Not in every host. */
  pythonStandsStill?(standsStill: boolean): void;
  /** Asks for a fresh process in the place of this one. Not in every host. */
  replace?(reason: string, why: string): void;
  /** Registers what runs when the environment is to stop; it calls {@link stopped} when it is done. `reason` is a word for logs. */
  onStop(callback: (reason: string, milliseconds: number) => void): void;
  /** The stop callback is done; the environment ends at once. */
  stopped(): void;
}

/** A script that is loaded before the environment is ready. */
export interface Preload {
  script: string;
  callable: string;
  type: ApplicationType;
  reloading: boolean;
  /** See Instructions.environment in record.ts: one code unit for each byte here, too. */
  environment: string;
  /** Only to be run (WSGIImportScript): a script of Python needs no callable. */
  imported?: boolean;
}

/** Settings of WSGIPython… directives and of a process group; see docs/directives.md. */
export interface PythonConfig {
  /** An installation or a virtual environment; '' for the system's. */
  home: string;
  path: string[];
  /** PYTHON_EGG_CACHE; '' for none. */
  eggs: string;
  optimize: number;
  dontWriteBytecode: boolean;
  warnings: string[];
  /** '' for random. */
  hashSeed: string;
  /** Seconds; 0 for Python's own. */
  switchInterval: number;
  restrictStdin: boolean;
  restrictStdout: boolean;
  restrictSignal: boolean;
  perInterpreterGil: boolean;
  destroyInterpreter: boolean;
  threads: number;
  processes: number;
  /** Milliseconds. */
  interruptTimeout: number;
  /** Folder of the add-ons, one for each Python that nwsgi was built for. */
  addons?: string;
}

/** What the host tells an environment at its start. */
export interface BridgeConfig {
  /** Application group, as expanded by the server. */
  applicationGroup: string;
  /** Process group; '' when embedded in an Apache child. Otherwise the process is the application's own. */
  processGroup: string;
  /** What the server calls itself, e.g. "Apache/2.4.62 (Debian)". */
  serverSoftware: string;
  /** Version of nwsgi. */
  version: string;
  /** Scripts to load before `ready` is called. */
  preload: Preload[];
  /** A Node binary for child_process.fork; '' when none was found. */
  execPath: string;
  /** The environment's thread, and those that it starts, have a working directory of their own: {@link NativeBridge.changeDirectory} works. */
  ownDirectory: boolean;
  /** In a process of its own: the working directory that the site has chosen; without one it is the application's folder. */
  home?: string;
  python?: Partial<PythonConfig>;
}

export const BRIDGE_ABI = 3;
