/**
 * What the supervisor and a worker say to each other through Node's IPC channel. Messages to a worker are internal ones of
 * Node (`cmd` begins with NODE_), so that applications do not see them among their own; those of a worker are plain.
 */
import type { PythonConfig } from '../native.js';
import type { ApplicationType } from '../record.js';

/** Files of a worker: 0 is empty, 1 and 2 are read by the supervisor and end in the error log, then these. */
export const IPC_FD = 3;
export const SCOREBOARD_FD = 4;
export const FIRST_LISTEN_FD = 5;

/** A worker that cannot work at all ends with this code: another start would not help. */
export const EXIT_UNUSABLE = 78;

/** A script that is loaded before a worker is ready; same meaning as Preload in native.ts. */
export interface PreloadedScript {
  script: string;
  callable: string;
  type: ApplicationType;
  reloading: boolean;
  environment: string;
  imported?: boolean;
}

/** A listening socket that workers accept from themselves. */
export interface Listener {
  /** Number of the descriptor in the process that reads this. */
  fd: number;
  protocol: 'fastcgi' | 'http';
  /** For logs: "unix:/run/app.sock". */
  description: string;
}

/** What every request is for, where no server in front says it. */
export interface ServedScript {
  path: string;
  callable: string;
  type: ApplicationType;
  /** URL prefix; '' for all. */
  mount: string;
  errorPage?: 'development' | 'production';
  reloading?: boolean;
}

export interface WorkerConfig {
  slot: number;
  generation: number;
  applicationGroup: string;
  processGroup: string;
  serverSoftware: string;
  /** Absolute path of nwsgi_bridge.node. */
  bridge: string;
  home: string;
  displayName: string;
  preload: PreloadedScript[];
  listen: Listener[];
  script: ServedScript | null;
  /** Most requests at a time, where the worker takes them from sockets that listen itself. */
  threads: number;
  /** Milliseconds for the application's own clean-up when a drain is over; it is killed a little later. */
  shutdownTimeout: number;
  /** Milliseconds of a drain that nobody orders: the supervisor is gone, or SIGTERM. */
  gracefulTimeout: number;
  /** Milliseconds without progress on a connection; 0: no limit. */
  socketTimeout: number;
  /** Milliseconds until an answer begins, where no child of httpd looks after that; 0: no limit. */
  requestTimeout: number;
  /** httpd's number; less important lines are not written. */
  logLevel: number;
  python: Partial<PythonConfig>;
}

/** `cmd` of all messages to workers. */
export const TO_WORKER = 'NODE_NWSGI';

export type ToWorker =
  /** The first message. */
  | { type: 'start'; config: WorkerConfig }
  /** Together with the handle of a connection on which a FastCGI client is about to speak. */
  | { type: 'connection' }
  /** Begin nothing new, finish what was begun within so many milliseconds, clean up, exit with 0. A second one may shorten the first. */
  | { type: 'drain'; milliseconds: number; reason: string };

export type FromWorker =
  /** The gateway runs. */
  | { type: 'started'; pid: number }
  /** Preloads are done; `failure` says what did not load, or is ''. Connections and requests may come. */
  | { type: 'ready'; failure: string }
  | { type: 'loadFailed'; script: string }
  /** The script is about to be read; `stamp` as of stampOf() was taken before. Without `reloading` only new workers need to know it. */
  | { type: 'watch'; script: string; callable: string; applicationType: ApplicationType; environment: string; stamp: string; reloading?: boolean }
  /** It is to be replaced by a fresh one: why, as a word for the application, and for the log. */
  | { type: 'replace'; reason: string; why: string }
  /** C code holds the lock of Python's interpreter, or does so no more. */
  | { type: 'python'; standsStill: boolean }
  /** A drain has begun. */
  | { type: 'draining' }
  /** The last words of a worker that ends by itself: why, and what its requests were answered. */
  | { type: 'exiting'; code: string; status: number; text: string; exitCode: number };

/** Null for what is no message of a worker: applications may send whatever they like. */
export function asFromWorker(message: unknown): FromWorker | null {
  if (typeof message !== 'object' || message === null) return null;
  const { type } = message as { type?: unknown };
  const fields = FIELDS.get(type as FromWorker['type']);
  if (fields === undefined) return null;
  for (const [name, kind] of fields) {
    if (typeof (message as Record<string, unknown>)[name] !== kind) return null;
  }
  return message as FromWorker;
}

const FIELDS = new Map<FromWorker['type'], readonly (readonly [name: string, kind: 'string' | 'number' | 'boolean'])[]>([
  ['started', [['pid', 'number']]],
  ['ready', [['failure', 'string']]],
  ['loadFailed', [['script', 'string']]],
  ['watch', [['script', 'string'], ['callable', 'string'], ['applicationType', 'string'], ['environment', 'string'], ['stamp', 'string']]],
  ['replace', [['reason', 'string'], ['why', 'string']]],
  ['python', [['standsStill', 'boolean']]],
  ['draining', []],
  ['exiting', [['code', 'string'], ['status', 'number'], ['text', 'string'], ['exitCode', 'number']]],
]);
