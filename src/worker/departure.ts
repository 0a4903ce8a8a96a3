/**
 * How a worker ends. Orderly: nothing new is begun, what was begun is finished, the application cleans up (stop.ts). By the
 * application (process.exit(), an exception that nobody caught): the supervisor and the requests in progress are told first.
 */
import { createRequire } from 'node:module';
import { writeLog } from '../daemon-log.js';
import { LogLevel } from '../native.js';
import type { NativeBridge } from '../native.js';
import type { FromWorker, WorkerConfig } from '../supervisor/messages.js';

/** Between looks at the requests that are left. */
const PAUSE_MILLISECONDS = 10;
/** How long last answers may take to leave the process; its event loop does not run any more then. */
const FLUSH_MILLISECONDS = 300;

type StopCallback = Parameters<NativeBridge['onStop']>[0];

/** Where requests come from. */
export interface RequestSource {
  stopListening(): void;
  /** Nothing new is begun. */
  drain(): void;
  /** Requests whose answer is not yet completely with the system; upgraded ones do not count. */
  pending(): number;
  failAll(status: number, code: string, message: string): void;
  /** False when something is left. */
  flush(milliseconds: number): boolean;
}

interface Exiting {
  reallyExit(code?: number): never;
}

export class Departure {
  /** An orderly end was asked for. */
  begun = false;
  readonly #sources: RequestSource[] = [];
  readonly #send: (message: FromWorker) => void;
  readonly #config: WorkerConfig;
  readonly #exit: (code: number) => never;
  #stop: StopCallback | undefined;
  #reason = '';
  #deadline = Infinity;
  #gone = false;

  constructor(send: (message: FromWorker) => void, config: WorkerConfig) {
    this.#send = send;
    this.#config = config;
    const own = process as unknown as Exiting;
    const { reallyExit } = own;
    this.#exit = (code) => {
      closeDebugger();
      return reallyExit.call(process, code);
    };
    // What process.exit() comes to, after the listeners for 'exit'.
    own.reallyExit = (code) => {
      this.#lastWords(code ?? 0);
      return this.#exit(code ?? 0);
    };
  }

  add(source: RequestSource): void {
    this.#sources.push(source);
    if (this.begun) drainSource(source);
  }

  /** The gateway's own stop; see NativeBridge.onStop. */
  onStop(callback: StopCallback): void {
    this.#stop = callback;
  }

  /** Requests get so many milliseconds to finish; said again, it may become less. */
  drain(milliseconds: number, reason: string): void {
    this.#deadline = Math.min(this.#deadline, performance.now() + milliseconds);
    const first = !this.begun;
    this.begun = true;
    if (first) {
      this.#reason = reason;
      this.#send({ type: 'draining' });
      this.#sources.forEach(drainSource);
    }
    // Nobody is to wait at a quick end.
    if (milliseconds === 0) this.#failAll(503, 'NWSGI3007', `${this.#who()} the server stops`);
    if (first) this.#wait();
  }

  /** The gateway has stopped: nothing is left to do. */
  stopped(): void {
    if (this.#gone) return;
    this.#lastWords(0);
    this.#exit(0);
  }

  /** The worker cannot work; whoever starts another one had better know why. */
  giveUp(code: string, text: string, exitCode: number): never {
    writeLog(LogLevel.critical, `${code} ${text}`);
    this.#gone = true;
    this.#send({ type: 'exiting', code, status: 500, text: text.split('\n', 1)[0] as string, exitCode });
    return this.#exit(exitCode);
  }

  #wait(): void {
    if (this.#pending() > 0 && performance.now() < this.#deadline) {
      setTimeout(() => this.#wait(), PAUSE_MILLISECONDS);
    } else if (this.#stop === undefined) {
      // Nothing was loaded yet.
      this.stopped();
    } else {
      this.#stop(this.#reason, this.#config.shutdownTimeout);
    }
  }

  #pending(): number {
    return this.#sources.reduce((sum, source) => sum + source.pending(), 0);
  }

  /** Runs once, at the very end of the process. */
  #lastWords(exitCode: number): void {
    if (this.#gone) return;
    this.#gone = true;
    try {
      if (this.begun) {
        // Asked to end, many applications do so themselves: server.close(() => process.exit()).
        this.#failAll(503, 'NWSGI3003', `${this.#who()} its process was stopped before the request was answered`);
      } else {
        const code = 'NWSGI3004';
        const text = `${this.#who()} its process ended (exit code ${exitCode}) while the request was in progress: process.exit() was called or an exception was not caught`;
        this.#send({ type: 'exiting', code, status: 500, text, exitCode });
        this.#failAll(500, code, text);
      }
      for (const source of this.#sources) source.flush(FLUSH_MILLISECONDS);
    } catch (error) {
      writeLog(LogLevel.critical, `NWSGI2004 The gateway itself failed: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
    }
  }

  #failAll(status: number, code: string, message: string): void {
    for (const source of this.#sources) source.failAll(status, code, message);
  }

  #who(): string {
    return `application group '${this.#config.applicationGroup}':`;
  }
}

/** Node would wait until the debugger has left. */
function closeDebugger(): void {
  if (process.execArgv.every((option) => !option.startsWith('--inspect')) && !/--inspect/.test(process.env.NODE_OPTIONS ?? '')) return;
  try {
    (createRequire(import.meta.url)('node:inspector') as typeof import('node:inspector')).close();
  } catch {
    // This Node was built without it.
  }
}

function drainSource(source: RequestSource): void {
  source.stopListening();
  source.drain();
}
