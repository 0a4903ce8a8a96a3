/** What nwsgi_bridge.node exports to a worker; see native/bridge/bridge.cc and native/fastcgi. All on the loop's thread. */
import type { LogLevelNumber, NativeBridge } from '../native.js';

/** What the addon does for the gateway itself. The rest of {@link NativeBridge} is the worker's: see bridge.ts. */
export type RequestFunctions = Pick<
  NativeBridge,
  | 'abi' | 'seam' | 'attach' | 'record' | 'respond' | 'head' | 'write' | 'sendFile' | 'fileInfo' | 'interim' | 'upgrade' | 'trailers'
  | 'requestTrailers' | 'end' | 'abort' | 'fail' | 'release' | 'read' | 'bodyError' | 'abortReason'
>;

export interface ServerSettings {
  scoreboardFd: number;
  slot: number;
  generation: number;
  /** For clients that are no mod_nwsgi: pairs in front of each record, as encodeRecord() makes them, and the URL prefix. */
  plain?: { pairs: string; mount: string };
  /** Accepted connections wait while that many requests are in progress; 0 or absent: no limit. */
  mostRequests?: number;
  /** Milliseconds until the answer to a plain request begins; 0 or absent: no limit. */
  requestTimeout?: number;
  /** Most detailed level of the server's own lines and of those of plain requests; 5 (notice) when absent. */
  logLevel?: LogLevelNumber;
}

export const Counted = { begun: 0, finished: 1, upgraded: 2, upgradeOver: 3 } as const;

export interface DaemonAddon extends RequestFunctions {
  /** False when nobody but the caller can write the line: no server listens for it. */
  log(handle: number, level: LogLevelNumber, text: string): boolean;

  /** Keeps the event loop alive until {@link close}. */
  startServer(settings: ServerSettings): void;
  /** Serves a connection; the descriptor is duplicated. */
  adopt(fd: number): void;
  /** Accepts connections of plain FastCGI clients from a socket that listens; the descriptor is duplicated. */
  listen(fd: number): void;
  stopListening(): void;
  /** Nothing new is begun; connections are closed when their request is over. */
  drain(): void;
  /** Requests whose answer is not yet completely with the system; upgraded ones do not count. */
  pending(): number;
  /** Ends all requests: those in progress with this failure, those not begun by closing their connection. */
  failAll(status: number, code: string, message: string): void;
  /** A request that did not come by FastCGI, in the numbers of the scoreboard: a value of {@link Counted}. */
  count(what: number): void;
  /** Writes what is queued; waits at most so long for those who have to take it. False when something is left. */
  flush(milliseconds: number): boolean;
  close(): void;

  /** The table's memory, shared with all processes that have it; `Atomics` work on it, `Atomics.wait` does not. */
  mapScoreboard(fd: number): ArrayBuffer;
  /** A new table in memory of its own; sealed, close-on-exec. */
  createScoreboard(): number;
  /** Wakes those who sleep on the 32-bit word at this offset; all of them, or at most so many. */
  futexWake(buffer: ArrayBuffer, byteOffset: number, most?: number): void;
}
