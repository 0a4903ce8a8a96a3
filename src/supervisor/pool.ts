/**
 * The workers of one application group. docs/architecture.md has the table of states; which one a pool is in follows from
 * what it holds: its members, the reload that goes on, and the time before which none may be started.
 *
 * {@link Pool.reconcile} compares what there is with what there should be, and starts or drains workers; everything that
 * happens changes a fact and calls it. A worker that is to be replaced is marked (`stale`) and goes when a fresh one serves.
 */
import { availableParallelism, cpus } from 'node:os';
import { backOff, LONGEST_BACK_OFF, LONGEST_WAIT, StartPause } from './back-off.js';
import { reportOf, seconds } from './exit.js';
import type { Ending, ExitReport } from './exit.js';
import type { HelloConnection } from './hello-server.js';
import type { Refusal } from './hello.js';
import { HelloQueue } from './hello-queue.js';
import { LogLevel } from './log.js';
import { Member } from './member.js';
import type { LogLevelNumber } from '../native.js';
import type { FromWorker, PreloadedScript } from './messages.js';
import { Code } from './problems.js';
import type { CodeText } from './problems.js';
import { crashLoop, hopeless, stopping } from './refusals.js';
import { Rolling } from './rolling.js';
import type { ReloadOutcome } from './rolling.js';
import { PoolState } from './scoreboard.js';
import { Scripts } from './scripts.js';
import { stampOf } from './stamp.js';
import { WorkerProcess } from './worker-process.js';
import type { WorkerOwner, WorkerSurroundings } from './worker-process.js';

/** The first worker of a pool starts alone: the others load at their start what its first request had it load. */
const FIRST_ALONE = 500;
/** A script that did not load is tried again after so long at the earliest. */
const LEAST_RETRY = 1_000;
/** Reasons of replacements that belong to a reload. */
export type ReloadReason = 'script_reload' | 'reload';
const isReload = (reason: string | undefined): boolean => reason === 'script_reload' || reason === 'reload';

export interface PoolHost {
  /** A worker of the pool is ready. */
  onServing(): void;
  onChange(): void;
  /** The pool's first load failed. */
  onStartFailed(failure: { code: string; text: string }): void;
}

export class Pool implements WorkerOwner {
  readonly name: string;
  /** In the scoreboard. */
  readonly index: number;
  readonly surroundings: WorkerSurroundings;
  readonly members = new Map<WorkerProcess, Member>();
  readonly scripts: Scripts;
  readonly hellos: HelloQueue;
  /** How many workers it should have once it is {@link want}ed. */
  target: number;
  /** Loaded before the first request: never without workers. */
  readonly preloaded: boolean;
  readonly #host: PoolHost;
  readonly #rolling = new Rolling();
  #wanted = false;
  #stopping = false;
  #onStopped: (() => void)[] = [];
  readonly #pause = new StartPause();
  #startTimer: NodeJS.Timeout | undefined;
  /** Why no start is tried for a while. */
  #trouble: Refusal | undefined;
  #everServed = false;
  #firstServedAt = Infinity;
  /** Attempts to load a script that serving workers could not load; 0: there is none. */
  #failedLoads = 0;
  #retryLoadAt = Infinity;

  constructor(name: string, index: number, surroundings: WorkerSurroundings, host: PoolHost, preload: PreloadedScript[]) {
    const { config, scoreboard } = surroundings;
    this.name = name;
    this.index = index;
    this.surroundings = surroundings;
    this.#host = host;
    this.target = config.processes;
    this.scripts = new Scripts(config.reloading);
    for (const script of preload) this.scripts.add(script, stampOf(script.script));
    this.preloaded = preload.length > 0;
    this.hellos = new HelloQueue({
      applicationGroup: name,
      scoreboard,
      threads: config.threads,
      limit: config.queueLimit,
      serving: () => this.serving.map(({ worker }) => worker),
      refusal: () => this.#refusal(),
    });
  }

  // ---- what others ask ----

  get live(): Member[] {
    return [...this.members.values()].filter((member) => member.live);
  }

  get serving(): Member[] {
    return [...this.members.values()].filter((member) => member.serving);
  }

  get reloading(): boolean {
    return this.#rolling.active;
  }

  /** A reload hangs in loading a version that is not the newest any more. */
  get overtaken(): boolean {
    return this.#rolling.overtaken;
  }

  /** It waits before the next start because others failed, and nobody serves. */
  get paused(): boolean {
    return this.#pause.left > 0 && this.live.length === 0;
  }

  /** When a script that did not load is to be tried again. */
  get retryLoadAt(): number {
    return this.#retryLoadAt;
  }

  /** From now on it is to have workers. */
  want(): void {
    if (this.#wanted || this.#stopping) return;
    this.#wanted = true;
    this.scripts.takeStamps();
    this.reconcile();
  }

  /** Until somebody wants it again. */
  rest(reason: string): void {
    this.#wanted = false;
    for (const member of this.live) this.#drain(member, reason);
  }

  onHello(connection: HelloConnection): void {
    this.want();
    this.hellos.take(connection);
  }

  /** Resolves when the new workers serve, or the old ones are kept. */
  reload(reason: ReloadReason, why: string): Promise<ReloadOutcome> {
    if (!this.#wanted || this.#stopping) return Promise.resolve({ ok: true, message: `application group '${this.name}' has no workers` });
    if (this.#rolling.active && !this.#rolling.overtaken) return this.#rolling.repeat(() => void this.reload(reason, why));
    if (this.#rolling.active) this.#giveUpHanging();
    this.log(LogLevel.info, Code.fresh, `${why}; starting fresh workers`);
    return this.#beginReload(reason);
  }

  #giveUpHanging(): void {
    for (const { starting, epoch, worker } of this.live) if (starting && epoch === this.#rolling.epoch) worker.drain(0, 'reload');
    this.#rolling.finish({ ok: false, message: 'a newer version is tried' });
  }

  #beginReload(reason: ReloadReason): Promise<ReloadOutcome> {
    this.#pause.forget();
    this.#retryLoadAt = Infinity;
    this.#trouble = undefined;
    this.scripts.takeStamps();
    const outcome = this.#rolling.begin();
    for (const member of this.live) member.stale = reason;
    this.reconcile();
    return outcome;
  }

  /** A fresh worker is to take this one's place; `useless`: where others serve, it need not go on until then. */
  replace(member: Member, reason: string, why: string, useless = false): void {
    if (member.stale !== undefined || !member.live) return;
    member.stale = reason;
    this.log(LogLevel.info, Code.replaced, `worker ${member.worker.pid} is replaced (${why})`);
    if (useless && this.serving.length > 1) this.#drain(member, reason);
    this.reconcile();
  }

  resize(target: number, why: string): void {
    if (target === this.target) return;
    this.log(LogLevel.info, Code.scaled, `${this.target} → ${target} workers (${why})`);
    this.target = target;
    this.reconcile();
  }

  /** Resolves when no worker is left. May be called again with less time. */
  stop(milliseconds: number, reason: string): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#startTimer);
    this.hellos.refuseAll(stopping(this.surroundings.config.name));
    // Twice where another reload was to follow.
    while (this.#rolling.finish({ ok: false, message: `application group '${this.name}' is stopping` }) !== undefined);
    for (const { worker } of this.members.values()) worker.drain(milliseconds, reason);
    this.#publish();
    return this.members.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#onStopped.push(resolve));
  }

  log(level: LogLevelNumber, code: CodeText, text: string): void {
    this.surroundings.log.write(level, `${code} application group '${this.name}': ${text}`);
  }

  // ---- what there should be ----

  reconcile(): void {
    if (!this.#wanted || this.#stopping) return;
    this.#drainSurplus();
    this.#startMissing();
    if (this.#rolling.active && !this.live.some(({ stale }) => isReload(stale)) && this.serving.length > 0) this.#reloaded();
    this.#publish();
    this.#host.onChange();
  }

  /** Stale workers go one for each fresh one that serves; then, when there are too many, those that were started last. */
  #drainSurplus(): void {
    const { live } = this;
    const stale = live.filter((member) => member.stale !== undefined);
    const fresh = live.filter((member) => member.stale === undefined);
    let serving = live.filter((member) => member.serving).length;
    for (const member of stale) {
      // One that has not served yet is of no use any more when the new version has been ready; until then it may be needed.
      const surplus = member.starting ? serving > 0 && this.#rolling.proven : serving > this.target;
      if (!surplus) continue;
      if (member.serving) serving -= 1;
      this.#drain(member, member.stale as string);
    }
    for (const member of fresh.slice(this.target)) this.#drain(member, 'fewer_processes');
  }

  #startMissing(): void {
    clearTimeout(this.#startTimer);
    const { live } = this;
    const { maxProcesses } = this.surroundings.config;
    const now = performance.now();
    const starting = live.filter((member) => member.starting && member.stale === undefined).length;
    let missing = this.target - live.filter((member) => member.stale === undefined).length;
    // While workers are replaced there is one more than there should be, or as many more as max-processes allows.
    let room = Math.min(Math.max(maxProcesses, this.target + 1) - live.length, this.#startsAtOnce() - starting);
    if (this.members.size - live.length > Math.max(16, 2 * maxProcesses)) room = 0; // too many still drain
    const alone = !this.preloaded && this.scripts.size === 0 && now < this.#firstServedAt + FIRST_ALONE;
    if (alone) room = Math.min(room, 1 - live.length);
    if (missing > 0 && this.#pause.left > 0) {
      this.#startTimer = setTimeout(() => this.reconcile(), this.#pause.left + 1);
      return;
    }
    for (; missing > 0 && room > 0; missing--, room--) if (!this.#start()) return;
    if (missing > 0 && alone && starting === 0 && live.length > 0) this.#startTimer = setTimeout(() => this.reconcile(), FIRST_ALONE);
  }

  #startsAtOnce(): number {
    // A version that nobody knows yet is tried by one.
    if (this.#rolling.active && !this.#rolling.proven) return 1;
    return Math.max(1, typeof availableParallelism === 'function' ? availableParallelism() : cpus().length);
  }

  #start(): boolean {
    const { config, scoreboard } = this.surroundings;
    const slot = scoreboard.allocate();
    if (slot < 0) {
      this.log(LogLevel.error, Code.tableFull, `no worker is started: the process group has ${scoreboard.workerSlots} already, with those that finish their requests`);
      this.#pause.atLeast(LONGEST_WAIT);
      return false;
    }
    if (this.live.length === 0) this.scripts.takeStamps();
    const worker = new WorkerProcess(this, this.surroundings, this.name, slot, this.index, this.scripts.preloads());
    const member = new Member(worker, this.#rolling.epoch, config);
    this.members.set(worker, member);
    if (config.startupTimeout > 0) {
      member.startTimer = setTimeout(() => {
        if (member.starting) worker.kill('startTimeout', `within ${seconds(config.startupTimeout)}`);
      }, config.startupTimeout);
    }
    return true;
  }

  #drain(member: Member, reason: string): void {
    const { gracefulTimeout, evictionTimeout } = this.surroundings.config;
    const time = isReload(reason) && evictionTimeout > 0 ? evictionTimeout : gracefulTimeout;
    member.worker.drain(time, reason);
    this.log(LogLevel.info, Code.finishing, `worker ${member.worker.pid} finishes its requests, then it ends (${reason})`);
    this.#publish();
  }

  /** What the scoreboard says about the pool; wakes those who wait for a change. */
  #publish(): void {
    const { scoreboard } = this.surroundings;
    scoreboard.setServing(this.index, this.serving.length);
    scoreboard.setPoolState(this.index, this.#refusal() === undefined ? PoolState.used : PoolState.unavailable);
    scoreboard.announce(this.index);
  }

  // ---- what workers report ----

  onMessage(worker: WorkerProcess, message: FromWorker): void {
    const member = this.members.get(worker);
    if (member === undefined) return;
    switch (message.type) {
      case 'ready':
        if (member.starting) this.#onReady(member, message.failure);
        return;
      case 'loadFailed':
        if (member.serving) this.#retryLoad();
        else member.loadFailed = true;
        return;
      case 'python':
        worker.pythonStandsStill = message.standsStill;
        return;
      case 'replace':
        if (member.serving) this.replace(member, message.reason, message.why);
        return;
      case 'watch': {
        const { script, callable, applicationType: type, environment, stamp, reloading = true } = message;
        this.scripts.add({ script, callable, type, environment, reloading }, stamp);
        if (member.serving) this.reconcile(); // the others may start now
        return;
      }
    }
  }

  #onReady(member: Member, failure: string): void {
    clearTimeout(member.startTimer);
    if (failure !== '' && this.serving.length > 0) {
      member.worker.drain(0, 'broken');
      this.#newVersionFailed(member, failure);
      return this.reconcile();
    }
    if (failure !== '') {
      this.log(LogLevel.error, Code.startedBroken, `it started, but ${failure}`);
      if (!this.#everServed) this.#host.onStartFailed({ code: Code.startedBroken, text: failure });
    }
    member.worker.serve();
    if (member.loadFailed) this.#retryLoad();
    this.#everServed = true;
    this.#firstServedAt = Math.min(this.#firstServedAt, performance.now());
    this.#trouble = undefined;
    if (member.epoch === this.#rolling.epoch) this.#rolling.proven = true;
    this.reconcile();
    this.hellos.flush();
    if (failure === '') this.#host.onServing();
  }

  onLeaving(): void {
    this.reconcile();
  }

  onEnd(worker: WorkerProcess, ending: Ending): void {
    const member = this.members.get(worker);
    if (member === undefined) return;
    clearTimeout(member.startTimer);
    this.members.delete(worker);
    const report = reportOf(ending, worker.who);
    this.surroundings.scoreboard.end(worker.slot, report);
    this.log(report.level, report.code, report.text);
    if (this.#stopping) {
      this.hellos.onEnd(worker);
      this.#publish();
      if (this.members.size === 0) for (const resolve of this.#onStopped.splice(0)) resolve();
      return;
    }
    const expected = ending.leaving && ending.interrupted === undefined && (ending.killed === undefined || ending.killed === 'stopTimeout');
    if (!expected) this.#onFailure(member, ending, report);
    this.hellos.onEnd(worker);
    this.reconcile();
  }

  /** Also called for a start that failed. */
  #onFailure(member: Member, ending: Ending, report: ExitReport): void {
    const { worker } = member;
    if (!ending.ready && this.serving.length > 0) return this.#newVersionFailed(member, report.text);
    // Somebody killed a worker that had worked: no reason to wait.
    if (report.code === Code.killedOutside && !ending.kernelMemoryKill) return;
    this.#pause.count(worker.startedAt, ending.lifetime);
    const unusable = report.code === Code.unusable || report.code === Code.spawnFailed;
    if (unusable) this.#pause.atLeast(LONGEST_BACK_OFF);
    const { left, failures } = this.#pause;
    if (!ending.ready && !this.#everServed) this.#host.onStartFailed({ code: report.code, text: report.text });
    const noUseToWait = unusable || report.code === Code.startTimeout;
    if (this.serving.length > 0 || (!noUseToWait && left <= LONGEST_WAIT)) return;
    this.#trouble = noUseToWait ? hopeless(report.status, report.code, report.text) : undefined;
    this.log(LogLevel.error, Code.crashLoop, `${failures} ${failures === 1 ? 'failure' : 'failures in a row'}; the next start is in ${seconds(Math.max(left, 0))}`);
    this.hellos.refuseAll(this.#trouble ?? crashLoop(this.name));
    if (this.#rolling.active) this.#endReload({ ok: false, message: report.text });
  }

  // ---- new versions ----

  /** A fresh worker did not become ready while others serve. Of a new version: the old one stays. Else it is tried again. */
  #newVersionFailed(member: Member, why: string): void {
    if (this.#rolling.active && !this.#rolling.proven && member.epoch === this.#rolling.epoch) {
      for (const old of this.live) if (isReload(old.stale)) old.stale = undefined;
      this.log(LogLevel.error, Code.newVersionBroken, `the new version did not load: ${why}. The old version goes on serving; correct the file, it is tried again when it changes`);
      if (this.#failedLoads > 0) this.#retryLoad();
      this.#endReload({ ok: false, message: why });
      return;
    }
    if (member.epoch !== this.#rolling.epoch) return; // of a version that is gone
    this.#rolling.stick();
    this.#pause.count(member.worker.startedAt, member.worker.age);
    this.#pause.atLeast(LEAST_RETRY);
    this.log(LogLevel.error, Code.newVersionBroken, `a fresh worker did not load: ${why}. The others go on serving; it is tried again`);
  }

  /** Serving workers have a script that did not load: it may be for a reason elsewhere. */
  #retryLoad(): void {
    this.#failedLoads += 1;
    this.#retryLoadAt = performance.now() + Math.max(LEAST_RETRY, backOff(this.#failedLoads));
  }

  #reloaded(): void {
    if (this.#retryLoadAt === Infinity) this.#failedLoads = 0;
    this.log(LogLevel.info, Code.reloaded, 'all workers are fresh');
    this.#endReload({ ok: true, message: `application group '${this.name}': all workers are fresh` });
  }

  #endReload(outcome: ReloadOutcome): void {
    const again = this.#rolling.finish(outcome);
    if (again !== undefined && !this.#stopping) setImmediate(again);
  }

  /** Why no worker will serve soon; undefined: one will. */
  #refusal(): Refusal | undefined {
    if (this.#stopping) return stopping(this.surroundings.config.name);
    if (this.live.length > 0 || this.#pause.left <= LONGEST_WAIT) return undefined;
    return this.#trouble ?? crashLoop(this.name);
  }
}
