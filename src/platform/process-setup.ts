/**
 * Makes `process` safe to hand to an application: what it does to it must not reach the server that the environment
 * lives in, if it does not have the process for itself, and what it prints goes to the log.
 */
import { Writable } from 'node:stream';
import { LineBuffer } from '../wsgi/error-stream.js';
import { logText, Problem } from '../errors.js';
import type { CatalogueEntry } from '../errors.js';
import { LogLevel } from '../native.js';
import type { BridgeConfig, LogLevelNumber, NativeBridge } from '../native.js';
import { explainCluster } from './cluster.js';
import { printDescriptors } from './descriptors.js';
import { privateEnvironment } from './environment.js';
import { refusePrivileges } from './privileges.js';
import { shareEnvironmentWithWorkers } from './worker-environment.js';

/** What ends when the environment does. */
export interface ProcessOutput {
  flush(): void;
}

export interface RequestsInProgress {
  /** For log lines: which ones there are. */
  describe(): string;
  showError(problem: CatalogueEntry, error: unknown): void;
}

export function setUpProcess(bridge: NativeBridge, config: BridgeConfig): ProcessOutput {
  // A daemon process is the application's own.
  if (config.processGroup === '') shareProcess(config);
  explainCluster(bridge);
  const out = redirect('stdout', bridge, LogLevel.notice);
  const err = redirect('stderr', bridge, LogLevel.error);
  printDescriptors(new Map([[1, (text) => out.write(text)], [2, (text) => err.write(text)]]));
  return {
    flush() {
      out.flush();
      err.flush();
    },
  };
}

/** What an environment has to leave to the server whose process it lives in. */
function shareProcess({ execPath }: BridgeConfig): void {
  // These internal listeners install signal handlers for process.on('SIGTERM', …). Signals belong to the server.
  process.removeAllListeners('newListener');
  process.removeAllListeners('removeListener');
  if (execPath !== '') {
    process.execPath = execPath;
    process.argv[0] = execPath;
  }
  process.env = privateEnvironment(process.env);
  shareEnvironmentWithWorkers();
  refusePrivileges();
}

class LogStream extends Writable {
  constructor(lines: LineBuffer) {
    super({
      decodeStrings: false,
      write(chunk: string | Buffer, _encoding, done) {
        lines.write(typeof chunk === 'string' ? chunk : chunk.toString());
        done();
      },
    });
  }
}

function redirect(name: 'stdout' | 'stderr', bridge: NativeBridge, level: LogLevelNumber): LineBuffer {
  const lines = new LineBuffer((line) => bridge.log(0, level, line));
  let stream: Writable | undefined;
  // Created on first use, as Node does: many applications never print.
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => (stream ??= Object.assign(new LogStream(lines), { fd: name === 'stdout' ? 1 : 2, isTTY: false })),
    set: (value: Writable) => {
      stream = value;
    },
  });
  return lines;
}

/**
 * The monitor sees the error without taking part in its handling, so that an application's own handlers still decide. `requests`
 * are told what ends the environment.
 */
export function reportUncaught(bridge: NativeBridge, requests: RequestsInProgress): void {
  process.on('uncaughtExceptionMonitor', (error: unknown, origin: string) => {
    if (process.listenerCount('uncaughtException') > 0) return;
    const problem = origin === 'unhandledRejection' ? Problem.unhandledRejection : Problem.uncaughtException;
    bridge.log(0, LogLevel.critical, logText(problem, requests.describe(), error));
    requests.showError(problem, error);
    // Ends the environment as Node would, but without its raw text on the server's stderr: the log has it all. Added only
    // now, so that applications never see a listener that is not theirs.
    process.once('uncaughtException', () => process.exit(1));
  });
}
