/** The life of a `nwsgi serve` that has its sockets: supervisor, signals, successor, what systemd is told. */
import { execFileSync } from 'node:child_process';
import { writeLog } from '../daemon-log.js';
import { LogLevel } from '../native.js';
import type { SupervisorConfig } from '../supervisor/config.js';
import { runSupervisor } from '../supervisor/supervisor.js';
import type { Supervisor } from '../supervisor/supervisor.js';
import type { ActivatedSocket } from './activation.js';
import { announcement, statusLine } from './announcement.js';
import { ExitCode } from './failure.js';
import { ownName } from './identity.js';
import type { Listeners } from './listeners.js';
import type { ServiceManager } from './notify.js';
import type { PidFile } from './pid-file.js';
import type { Order, SignalQueue } from './signals.js';
import { Successor, tellPredecessor } from './succession.js';
import { terminal } from './terminal.js';

export interface ServeParts {
  readonly config: SupervisorConfig;
  /** Errors are shown in the browser, and an application that does not load is waited for. */
  readonly development: boolean;
  readonly signals: SignalQueue;
  readonly listeners: Listeners;
  readonly activated: readonly ActivatedSocket[];
  /** Folder in which the command was given. */
  readonly directory: string;
  readonly manager: ServiceManager;
  readonly pidFile: PidFile | undefined;
  /** Where the process file is when no other server has that place; '' without one. */
  readonly pidPath: string;
  readonly version: string;
  /** Started by SIGUSR2 of another server. */
  readonly succeeds: boolean;
}

export class ServeProcess {
  readonly #parts: ServeParts;
  #supervisor: Supervisor | undefined;
  #successor: Successor | undefined;
  #serving = false;
  #reloads: Promise<void> = Promise.resolve();
  #stopping: 'no' | 'gracefully' | 'at once' = 'no';
  #exitCode: number = ExitCode.ok;
  /** For the terminal, after everything that workers have to say. */
  #farewell = '';
  #finish: (() => void) | undefined;

  constructor(parts: ServeParts) {
    this.#parts = parts;
  }

  /** Serves until it is told to stop, or the application does not load; resolves with the exit code. */
  async run(): Promise<number> {
    const { config, signals, listeners } = this.#parts;
    const finished = new Promise<void>((resolve) => (this.#finish = resolve));
    if (this.#parts.succeeds) process.once('disconnect', () => this.#predecessorGone());
    this.#supervisor = await runSupervisor(config, {
      onServing: () => this.#onServing(),
      onChange: () => this.#showStatus(),
      onStartFailed: (failure) => this.#onStartFailed(failure),
    });
    signals.handle((order) => this.#obey(order));
    await finished;
    if (!this.#hasOther()) listeners.removeFiles();
    listeners.close();
    this.#parts.pidFile?.remove();
    terminal.write(this.#farewell);
    return this.#exitCode;
  }

  /** Another server uses the same sockets. */
  #hasOther(): boolean {
    return this.#successor?.serving === true || (this.#parts.succeeds && process.connected);
  }

  #onServing(): void {
    if (this.#serving || this.#stopping !== 'no') return;
    this.#serving = true;
    const { manager, succeeds } = this.#parts;
    this.#announce();
    manager.ready(this.#status());
    if (succeeds) tellPredecessor();
  }

  #announce(): void {
    const { config, listeners, version } = this.#parts;
    const { script, minProcesses, maxProcesses, threads, node, errorLog } = config;
    terminal.write(
      announcement({
        script: script?.path ?? '',
        mount: script?.mount ?? '',
        listeners: listeners.all,
        processes: { least: minProcesses, most: maxProcesses },
        threads,
        user: ownName(),
        node,
        nodeVersion: versionOf(node),
        version,
        pid: process.pid,
        errorLog,
      }),
    );
  }

  #status(): string {
    const workers = this.#supervisor?.workers();
    const { listeners, config } = this.#parts;
    return statusLine(workers?.serving ?? 0, workers?.starting ?? 0, workers?.draining ?? 0, listeners.all, config.script?.mount ?? '');
  }

  #showStatus(): void {
    if (this.#serving && this.#stopping === 'no') this.#parts.manager.status(this.#status());
  }

  #onStartFailed({ code, text }: { code: string; text: string }): void {
    const { development, manager, config } = this.#parts;
    if (this.#serving || this.#stopping !== 'no') return;
    manager.status(`The application does not load: ${text}`);
    const script = config.script?.path ?? '';
    const where = terminal.redirected ? `${config.errorLog} says why` : 'the lines before this one say why';
    if (development) {
      terminal.write(`nwsgi: ${code} ${script} does not load; waiting until it changes. ${where}\n`);
      return;
    }
    this.#farewell = `nwsgi: NWSGI4308 ${script} does not load; ${where}\n`;
    this.#exitCode = ExitCode.application;
    this.#stop('at once');
  }

  #obey(order: Order): void {
    switch (order) {
      case 'stop':
        this.#stop('gracefully');
        break;
      case 'stop at once':
        this.#stop('at once');
        break;
      case 'reload':
        this.#reload();
        break;
      case 'one more':
        this.#supervisor?.addWorker();
        break;
      case 'one less':
        this.#supervisor?.removeWorker();
        break;
      case 'reopen logs':
        this.#supervisor?.reopenLogs();
        break;
      case 'successor':
        this.#startSuccessor();
        break;
    }
  }

  #stop(how: 'gracefully' | 'at once'): void {
    const { manager, listeners } = this.#parts;
    const first = this.#stopping === 'no';
    if (!first && (how === 'gracefully' || this.#stopping === 'at once')) return;
    this.#stopping = how;
    if (first) {
      if (this.#successor?.serving === true) manager.mainProcess(this.#successor.pid);
      else manager.stopping(this.#exitCode === ExitCode.ok ? 'Stopping' : undefined);
      // Front servers notice at once that nobody is there any more, instead of waiting in the backlog.
      if (!this.#hasOther()) listeners.removeFiles();
    }
    const stopped = this.#supervisor?.stop(how === 'gracefully' ? 'graceful' : 'quick') ?? Promise.resolve();
    void stopped.then(() => this.#finish?.());
  }

  /** One after the other: each has its own answer. */
  #reload(): void {
    const { manager } = this.#parts;
    this.#reloads = this.#reloads.then(async () => {
      if (this.#stopping !== 'no' || this.#supervisor === undefined) return;
      if (this.#serving) manager.reloading();
      const { ok, message } = await this.#supervisor.reload();
      if (this.#stopping !== 'no' || !this.#serving) return;
      manager.ready(ok ? this.#status() : `The reload failed, the workers from before it serve: ${message}`);
    });
  }

  #startSuccessor(): void {
    const { listeners, activated, directory, manager } = this.#parts;
    if (this.#stopping !== 'no') return;
    if (this.#successor?.alive === true) {
      writeLog(LogLevel.warning, `NWSGI4323 SIGUSR2 is ignored: the successor ${this.#successor.pid} is there already. End it or this process (${process.pid}) by SIGTERM`);
      return;
    }
    const successor = new Successor(listeners.all, activated, directory, manager.variables(), {
      onServing: () => writeLog(LogLevel.notice, `NWSGI4324 process ${successor.pid} serves beside this one (${process.pid}). SIGTERM to this one completes the change, SIGTERM to ${successor.pid} takes it back`),
      onExit: (status) => {
        if (this.#stopping === 'no') writeLog(LogLevel.warning, `NWSGI4325 the successor ${successor.pid} has ended (${status}); this process (${process.pid}) goes on serving`);
      },
    });
    this.#successor = successor;
    writeLog(LogLevel.notice, `NWSGI4324 started process ${successor.pid} as a successor on the same sockets`);
  }

  /** The other server has gone: its place and its names are this one's now. */
  #predecessorGone(): void {
    const { manager, pidFile, pidPath } = this.#parts;
    manager.mainProcess(process.pid);
    if (pidFile !== undefined && !pidFile.rename(pidPath)) writeLog(LogLevel.warning, `NWSGI4304 ${pidFile.path} cannot be renamed to ${pidPath}: the folder has to be writable for ${ownName()}`);
  }
}

function versionOf(node: string): string {
  if (node === process.execPath) return process.version;
  try {
    return execFileSync(node, ['--version'], { encoding: 'utf8', timeout: 5000 }).trim();
  } catch {
    return 'version unknown';
  }
}
