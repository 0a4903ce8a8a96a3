/**
 * Runs the pools of one process group until it is told to stop. Knows neither command lines nor signals: main.ts and
 * `nwsgi serve` do.
 */
import { createRequire } from 'node:module';
import type { SupervisorConfig } from './config.js';
import { seconds } from './exit.js';
import { acceptHellos } from './hello-server.js';
import type { HelloConnection } from './hello-server.js';
import { errorLog, LogLevel } from './log.js';
import type { Log } from './log.js';
import type { LogLevelNumber } from '../native.js';
import { watchLifeline } from './lifeline.js';
import type { PreloadedScript } from './messages.js';
import { Orphans } from './orphans.js';
import { Pool } from './pool.js';
import { Code } from './problems.js';
import { MemoryKills } from './process-usage.js';
import { stopping, tableFull } from './refusals.js';
import type { ReloadOutcome } from './rolling.js';
import { Pool as PoolEntry, Scoreboard } from './scoreboard.js';
import type { SharedMemory } from './scoreboard.js';
import { LOOKS, Surveillance } from './surveillance.js';
import type { WorkerSurroundings } from './worker-process.js';

export interface Workers {
  starting: number;
  serving: number;
  draining: number;
  pids: number[];
}

export interface SupervisorHost {
  /** Takes the log lines of the supervisor instead of file descriptor 2. What workers print still goes there. */
  log?(level: LogLevelNumber, text: string): void;
  /** The first worker of the served script is ready. */
  onServing?(): void;
  onChange?(workers: Workers): void;
  /** The application's first load failed; `text` says where and why. It goes on being tried. */
  onStartFailed?(failure: { code: string; text: string }): void;
}

export interface Supervisor {
  /** Replaces all workers, one after the other. The old ones go on where new code does not load: `ok` is false then. */
  reload(): Promise<ReloadOutcome>;
  /** Resolves when the last worker is gone. `quick`: without waiting for requests; may follow a graceful one. */
  stop(how: 'graceful' | 'quick'): Promise<void>;
  addWorker(): void;
  removeWorker(): void;
  /** Opens config.errorLog again, if there is one, and takes over what httpd's parent sent as its new log. */
  reopenLogs(): void;
  workers(): Workers;
  /** Resolves when the supervisor has stopped, whoever wanted it. */
  readonly stopped: Promise<void>;
}

interface SupervisorBridge extends SharedMemory {
  redirectOutput(file: string): void;
  receiveOutput(fd: number): boolean;
}

/** Longer names are told apart by so much of them, as in the scoreboard. */
const LONGEST_NAME = PoolEntry.nameSize;

interface Group {
  pool: Pool;
  surveillance: Surveillance;
}

/** @throws what nwsgi_bridge.node throws when it cannot be loaded or the memory cannot be mapped. */
export function runSupervisor(config: SupervisorConfig, host: SupervisorHost = {}): Supervisor {
  return new ProcessGroup(config, host, createRequire(import.meta.url)(config.bridge) as SupervisorBridge);
}

class ProcessGroup implements Supervisor {
  readonly stopped: Promise<void>;
  readonly #config: SupervisorConfig;
  readonly #host: SupervisorHost;
  readonly #bridge: SupervisorBridge;
  readonly #surroundings: WorkerSurroundings;
  readonly #orphans: Orphans;
  /** By the bytes of their names. */
  readonly #groups = new Map<string, Group>();
  readonly #timer: NodeJS.Timeout;
  #resolveStopped: () => void = () => undefined;
  #served = false;
  #stopping: 'no' | 'graceful' | 'quick' = 'no';
  #looks = 0;

  constructor(config: SupervisorConfig, host: SupervisorHost, bridge: SupervisorBridge) {
    this.#config = config;
    this.#host = host;
    this.#bridge = bridge;
    this.stopped = new Promise((resolve) => (this.#resolveStopped = resolve));
    const scoreboardFd = config.scoreboardFd >= 0 ? config.scoreboardFd : bridge.createScoreboard();
    const scoreboard = new Scoreboard(bridge.mapScoreboard(scoreboardFd), bridge.futexWake.bind(bridge));
    this.#surroundings = { config, scoreboard, scoreboardFd, log: this.#makeLog(), memoryKills: new MemoryKills() };
    this.#orphans = new Orphans(scoreboard);
    this.#timer = setInterval(() => this.#look(), 1000 / LOOKS);
    this.#open();
    // Whoever started this may send signals from then on: their handlers are installed in the same turn.
    setImmediate(() => scoreboard.enter());
  }

  #makeLog(): Log {
    const log = errorLog(this.#config.logLevel);
    const { log: own } = this.#host;
    if (own === undefined) return log;
    return {
      pass: (line) => log.pass(line),
      write: (level, text, pid) => (pid === undefined ? own.call(this.#host, level, text) : log.write(level, text, pid)),
    };
  }

  #open(): void {
    const { helloFd, lifelineFd, preload, script } = this.#config;
    for (const name of new Set(preload.map(({ applicationGroup }) => applicationGroup))) {
      this.#group(Buffer.from(name), preload.filter(({ applicationGroup }) => applicationGroup === name))?.pool.want();
    }
    if (script !== null) {
      const { path, callable, type, reloading = true } = script;
      this.#group(Buffer.from(''), [{ script: path, callable, type, reloading, environment: '' }])?.pool.want();
    }
    if (helloFd >= 0) acceptHellos(helloFd, this.#surroundings.log, (connection) => this.#onHello(connection));
    if (lifelineFd >= 0) {
      watchLifeline(lifelineFd, () => {
        this.#log(LogLevel.info, Code.stopping, 'nobody needs this process group any more');
        void this.stop('graceful');
      });
    }
  }

  #onHello(connection: HelloConnection): void {
    const { name } = connection.hello;
    if (this.#stopping !== 'no') {
      return connection.refuse(stopping(this.#config.name));
    }
    const group = this.#group(name, []);
    if (group !== undefined) return group.pool.onHello(connection);
    connection.refuse(tableFull(name.toString(), this.#config.name, this.#groups.size));
  }

  /** The pool of an application group, made if need be; undefined when there is no room for another one. */
  #group(name: Buffer, preload: PreloadedScript[]): Group | undefined {
    const key = name.toString('latin1', 0, LONGEST_NAME);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const { threads, queueLimit } = this.#config;
    const index = this.#surroundings.scoreboard.openPool(name, threads, queueLimit);
    if (index < 0) {
      this.#log(LogLevel.error, Code.tableFull, `application group '${name.toString()}' finds no room: there are ${this.#groups.size} already`);
      return undefined;
    }
    const pool = new Pool(name.toString(), index, this.#surroundings, this.#poolHost(), preload);
    const group = { pool, surveillance: new Surveillance(pool) };
    this.#groups.set(key, group);
    return group;
  }

  #poolHost() {
    return {
      onServing: () => {
        if (!this.#served) this.#host.onServing?.();
        this.#served = true;
      },
      onChange: () => this.#host.onChange?.(this.workers()),
      onStartFailed: (failure: { code: string; text: string }) => this.#host.onStartFailed?.(failure),
    };
  }

  #look(): void {
    for (const { surveillance } of this.#groups.values()) surveillance.look();
    this.#looks = (this.#looks + 1) % LOOKS;
    if (this.#looks !== 0) return;
    this.#orphans.look();
    this.#surroundings.memoryKills.sample();
  }

  async reload(): Promise<ReloadOutcome> {
    const outcomes = await Promise.all(this.#pools.map((pool) => pool.reload('reload', 'a reload was asked for')));
    const failed = outcomes.filter(({ ok }) => !ok);
    return { ok: failed.length === 0, message: (failed.length === 0 ? outcomes : failed).map(({ message }) => message).join('\n') };
  }

  async stop(how: 'graceful' | 'quick'): Promise<void> {
    if (this.#stopping === 'quick' || this.#stopping === how) return this.stopped;
    this.#stopping = how;
    const milliseconds = how === 'quick' ? 0 : this.#config.gracefulTimeout;
    this.#log(LogLevel.info, Code.stopping, how === 'quick' ? 'it stops at once' : `it stops; requests may go on for ${seconds(milliseconds)}`);
    await Promise.all(this.#pools.map((pool) => pool.stop(milliseconds, how === 'quick' ? 'shutdown' : 'graceful_shutdown')));
    clearInterval(this.#timer);
    this.#surroundings.scoreboard.leave();
    this.#resolveStopped();
  }

  addWorker(): void {
    this.#resize(1);
  }

  removeWorker(): void {
    this.#resize(-1);
  }

  #resize(by: number): void {
    const config = this.#config;
    const processes = Math.min(Math.max(config.processes + by, 1), 256);
    const fixed = config.minProcesses === config.maxProcesses;
    config.processes = processes;
    config.maxProcesses = fixed ? processes : Math.max(config.maxProcesses, processes);
    config.minProcesses = fixed ? processes : Math.min(config.minProcesses, processes);
    for (const pool of this.#pools) pool.resize(Math.max(1, pool.target + by), 'asked for');
  }

  reopenLogs(): void {
    const { errorLog: file, controlFd } = this.#config;
    try {
      if (controlFd >= 0) this.#bridge.receiveOutput(controlFd);
      if (file !== '') this.#bridge.redirectOutput(file);
    } catch (error) {
      this.#log(LogLevel.error, Code.optionRefused, `the error log could not be opened again: ${(error as Error).message}. The former one goes on being used`);
    }
  }

  workers(): Workers {
    const workers = this.#pools.flatMap((pool) => [...pool.members.keys()]);
    const count = (state: string): number => workers.filter((worker) => worker.state === state).length;
    return { starting: count('starting'), serving: count('serving'), draining: count('draining'), pids: workers.map(({ pid }) => pid) };
  }

  get #pools(): Pool[] {
    return [...this.#groups.values()].map(({ pool }) => pool);
  }

  #log(level: LogLevelNumber, code: string, text: string): void {
    this.#surroundings.log.write(level, `${code} process group '${this.#config.name}': ${text}`);
  }
}
