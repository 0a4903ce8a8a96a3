/**
 * One worker: a Node process of the group, from its start to its end. What becomes of it is decided by its pool
 * ({@link WorkerOwner}), what it does meanwhile it says by messages.
 *
 * States: starting → serving → draining → ended; any of them may end at once. The scoreboard shows the same state, and shows
 * `draining` before the worker hears of it: children stop choosing it first.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { SupervisorConfig } from './config.js';
import type { Ending, KillReason } from './exit.js';
import { isFormatted, LogLevel } from './log.js';
import type { Log } from './log.js';
import { asFromWorker, FIRST_LISTEN_FD, TO_WORKER } from './messages.js';
import type { FromWorker, PreloadedScript, ToWorker, WorkerConfig } from './messages.js';
import { readLines } from './output.js';
import { Code } from './problems.js';
import { usageOf } from './process-usage.js';
import type { MemoryKills, Usage } from './process-usage.js';
import { WorkerState } from './scoreboard.js';
import type { Scoreboard } from './scoreboard.js';

/** So much less than shutdown-timeout a worker is told, at most: it is to end before it is killed. */
const STOP_MARGIN = 1_000;
/** What a dead process has written is in the pipes already; processes that it started may keep them open for ever. */
const LAST_OUTPUT = 200;
/** Node would end a worker whose JavaScript was interrupted: see Watchdog in native/fastcgi/watchdog.h. */
const SURVIVES_INTERRUPTION = '--no-force-async-hooks-checks';
/** V8's words, in all versions of Node. */
const HEAP_EXHAUSTED = /JavaScript heap out of memory|^FATAL ERROR: .*(?:heap limit|Allocation failed)/;

export interface WorkerOwner {
  onMessage(worker: WorkerProcess, message: FromWorker): void;
  /** It leaves although nobody told it to. */
  onLeaving(worker: WorkerProcess): void;
  /** Once for each worker; nothing follows. The slot is still the worker's. */
  onEnd(worker: WorkerProcess, ending: Ending): void;
}

/** What all workers of a process group share. */
export interface WorkerSurroundings {
  config: SupervisorConfig;
  scoreboard: Scoreboard;
  scoreboardFd: number;
  log: Log;
  memoryKills: MemoryKills;
}

export type ConnectionHandle = NonNullable<object>;

export class WorkerProcess {
  readonly slot: number;
  readonly generation: number;
  readonly applicationGroup: string;
  readonly startedAt = performance.now();
  state: 'starting' | 'serving' | 'draining' | 'ended' = 'starting';
  /** Its event loop runs, but C code holds the lock of Python's interpreter. */
  pythonStandsStill = false;
  readonly #owner: WorkerOwner;
  readonly #surroundings: WorkerSurroundings;
  readonly #child: ChildProcess;
  #spawnError: Error | undefined;
  #killed: KillReason | undefined;
  #detail: string | undefined;
  #interrupted: { why: 'requestTimeout' | 'loopBlocked'; at: number } | undefined;
  #lastWords: Ending['lastWords'];
  #heapExhausted = false;
  #wasReady = false;
  #wasLeaving = false;
  #endsByItself = false;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(owner: WorkerOwner, surroundings: WorkerSurroundings, applicationGroup: string, slot: number, pool: number, preload: PreloadedScript[]) {
    this.#owner = owner;
    this.#surroundings = surroundings;
    this.applicationGroup = applicationGroup;
    this.slot = slot;
    this.generation = surroundings.scoreboard.begin(slot, pool);
    this.#child = this.#spawn();
    surroundings.scoreboard.setPid(slot, this.pid);
    this.#listen();
    if (this.#child.pid !== undefined) this.#send({ type: 'start', config: this.#workerConfig(preload) });
  }

  /** 0 when it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get who(): string {
    return `worker ${this.pid} (slot ${this.slot}) of process group '${this.#surroundings.config.name}'`;
  }

  get age(): number {
    return performance.now() - this.startedAt;
  }

  usage(): Usage | undefined {
    return this.pid === 0 ? undefined : usageOf(this.pid);
  }

  serve(): void {
    this.state = 'serving';
    this.#wasReady = true;
    this.#surroundings.scoreboard.setState(this.slot, WorkerState.serving);
  }

  /**
   * Passes a connection on. `done` is called once it is on its way (then the worker has it, or its end closes it), or with
   * an error: the worker ended before, and the connection is as it was. Never called when the worker ends first: see
   * {@link WorkerOwner.onEnd}.
   */
  handOver(handle: ConnectionHandle, done: (error: Error | null) => void): void {
    const message = { cmd: TO_WORKER, type: 'connection' } satisfies { cmd: string } & ToWorker;
    this.#child.send(message, handle as never, (error) => done(error));
  }

  /** Children stop choosing it, it finishes its requests and ends; killed when it does not. May be called again with less time. */
  drain(milliseconds: number, reason: string): void {
    if (this.state === 'ended') return;
    this.#leave();
    this.#send({ type: 'drain', milliseconds, reason });
    const { shutdownTimeout } = this.#surroundings.config;
    this.#killAfter(milliseconds + shutdownTimeout, 'stopTimeout', `(${reason})`);
  }

  /** Lets it alone as far as it can: it leaves by itself, and is killed when it does not. */
  expectEnd(milliseconds: number): void {
    this.#leave();
    if (this.#killTimer === undefined) this.#killAfter(milliseconds + this.#surroundings.config.shutdownTimeout, 'stopTimeout', '');
  }

  /** Interrupts its JavaScript, which logs its stack. Nobody can do that to C code that Python has called. */
  interrupt(why: 'requestTimeout' | 'loopBlocked'): void {
    if (this.pythonStandsStill) return;
    this.#interrupted = { why, at: performance.now() };
    this.#surroundings.scoreboard.interrupt(this.slot);
  }

  kill(why: KillReason, detail = ''): void {
    if (this.state === 'ended' || this.pid === 0) return;
    this.#leave();
    // The first reason is what led to the end.
    this.#killed ??= why;
    this.#detail ??= detail;
    this.#child.kill('SIGKILL');
  }

  #leave(): void {
    if (this.state === 'draining') return;
    this.state = 'draining';
    this.#surroundings.scoreboard.setState(this.slot, WorkerState.draining);
  }

  #killAfter(milliseconds: number, why: KillReason, detail: string): void {
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => this.kill(why, detail), milliseconds);
  }

  #spawn(): ChildProcess {
    const { config, scoreboardFd } = this.#surroundings;
    const main = join(config.gatewayDirectory, 'worker', 'main.cjs');
    const limit = config.heapLimit === 0 ? [] : [`--max-old-space-size=${Math.max(1, Math.round(config.heapLimit / 2 ** 20))}`];
    // The arguments after the script are for those who look at the list of processes.
    const names = [`group=${config.name}`, `application-group=${this.applicationGroup}`];
    try {
      return spawn(config.node, [SURVIVES_INTERRUPTION, ...limit, ...config.nodeOptions, main, ...names], {
        cwd: config.home === '' ? undefined : config.home,
        env: { ...process.env, ...config.env },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc', scoreboardFd, ...config.listen.map(({ fd }) => fd)],
        serialization: 'json',
      });
    } catch (error) {
      // EAGAIN, EMFILE and the like are thrown by some versions of Node and emitted by others.
      this.#spawnError = error as Error;
      return new NeverStarted() as unknown as ChildProcess;
    }
  }

  #workerConfig(preload: PreloadedScript[]): WorkerConfig {
    const { config } = this.#surroundings;
    const { serverSoftware, bridge, home, displayName, script, threads, shutdownTimeout, gracefulTimeout, socketTimeout, requestTimeout, logLevel, python } = config;
    return {
      slot: this.slot,
      generation: this.generation,
      applicationGroup: this.applicationGroup,
      processGroup: config.name,
      serverSoftware,
      bridge,
      home,
      displayName,
      preload,
      listen: config.listen.map((listener, i) => ({ ...listener, fd: FIRST_LISTEN_FD + i })),
      script,
      shutdownTimeout: shutdownTimeout - Math.min(shutdownTimeout / 4, STOP_MARGIN),
      gracefulTimeout,
      socketTimeout,
      requestTimeout: script === null ? 0 : requestTimeout,
      threads,
      logLevel,
      python,
    };
  }

  #listen(): void {
    const child = this.#child;
    const { log } = this.#surroundings;
    if (this.#spawnError !== undefined) {
      setImmediate(() => this.#end(null, null));
      return;
    }
    child.on('message', (message) => {
      const known = asFromWorker(message);
      if (known !== null && this.state !== 'ended') this.#take(known);
    });
    child.on('error', (error) => {
      if (child.pid !== undefined) return; // a message that could not be sent: the end of the process says it all
      this.#spawnError = error;
      this.#end(null, null);
    });
    // Comes before 'exit', or the application has closed the channel: either way nothing can be said to it any more.
    child.on('disconnect', () => this.#endByItself());
    child.on('exit', (code, signal) => this.#finish(code, signal));
    for (const [stream, level] of [[child.stdout, LogLevel.notice], [child.stderr, LogLevel.error]] as const) {
      if (stream === null) continue;
      readLines(stream as Readable, (line) => {
        if (isFormatted(line)) return log.pass(line);
        if (HEAP_EXHAUSTED.test(line)) this.#heapExhausted = true;
        log.write(level, `[${this.#surroundings.config.name}|${this.applicationGroup}] ${line}`, this.pid);
      });
    }
    this.#prioritise();
  }

  #take(message: FromWorker): void {
    if (message.type === 'exiting') {
      this.#lastWords = message;
      this.#endByItself();
    } else if (message.type === 'draining') {
      this.#gone();
    }
    this.#owner.onMessage(this, message);
  }

  #endByItself(): void {
    if (this.state !== 'starting' && this.state !== 'serving') return;
    this.#endsByItself = true;
    this.expectEnd(0);
  }

  /** Somebody else told it to leave (SIGTERM). */
  #gone(): void {
    if (this.state !== 'starting' && this.state !== 'serving') return;
    this.expectEnd(this.#surroundings.config.gracefulTimeout);
    this.#owner.onLeaving(this);
  }

  #prioritise(): void {
    const { config, log } = this.#surroundings;
    if (config.cpuPriority === 0 || this.pid === 0) return;
    try {
      setPriority(this.pid, config.cpuPriority);
    } catch (error) {
      log.write(LogLevel.warning, `${Code.optionRefused} ${this.who}: cpu-priority=${config.cpuPriority} was refused: ${(error as Error).message}`);
    }
  }

  #send(message: ToWorker): void {
    if (!this.#child.connected) return;
    this.#child.send({ cmd: TO_WORKER, ...message }, () => undefined);
  }

  /** The process is gone; its last output may still have to be read. */
  #finish(exitCode: number | null, signal: NodeJS.Signals | null): void {
    this.#wasLeaving = this.state === 'draining' && !this.#endsByItself;
    this.#leave();
    const streams = [this.#child.stdout, this.#child.stderr].filter((stream): stream is Readable => stream !== null && !stream.destroyed);
    let open = streams.length;
    if (open === 0) return this.#end(exitCode, signal);
    const timer = setTimeout(() => this.#end(exitCode, signal), LAST_OUTPUT);
    for (const stream of streams) {
      stream.once('close', () => {
        if (--open > 0) return;
        clearTimeout(timer);
        this.#end(exitCode, signal);
      });
    }
  }

  #justInterrupted(): Ending['interrupted'] {
    const { shutdownTimeout } = this.#surroundings.config;
    return this.#interrupted !== undefined && performance.now() - this.#interrupted.at < shutdownTimeout + STOP_MARGIN ? this.#interrupted.why : undefined;
  }

  #end(exitCode: number | null, signal: NodeJS.Signals | null): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    clearTimeout(this.#killTimer);
    this.#owner.onEnd(this, {
      exitCode,
      signal,
      spawnError: this.#spawnError,
      killed: this.#killed,
      interrupted: this.#justInterrupted(),
      lastWords: this.#lastWords,
      heapExhausted: this.#heapExhausted,
      kernelMemoryKill: signal === 'SIGKILL' && this.#surroundings.memoryKills.recent(),
      ready: this.#wasReady,
      leaving: this.#wasLeaving,
      lifetime: this.age,
      active: this.#surroundings.scoreboard.active(this.slot),
      detail: this.#detail,
    });
  }
}

/** Stands for the process where none came into being. */
class NeverStarted {
  readonly connected = false;
  readonly pid = undefined;
}
