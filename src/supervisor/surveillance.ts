/** What a pool's supervisor looks at again and again: changed scripts, loops that stand still, limits, load. */
import { LogLevel } from './log.js';
import type { Member } from './member.js';
import type { Pool } from './pool.js';
import { Code } from './problems.js';
import { Scaling } from './scaling.js';
import { seconds } from './exit.js';

/** Looks a second. */
export const LOOKS = 5;
/** Seconds after which a waiting count that nobody can have is taken for that of a killed child. */
const LEFT_BEHIND = 5;

function silenceOf({ worker, ladder }: Member, now: number): string {
  return `for ${seconds(ladder.silence(now))}${worker.pythonStandsStill ? ' (C code holds the lock of Python: NWSGI2610)' : ''}`;
}

export class Surveillance {
  readonly #pool: Pool;
  readonly #scaling: Scaling | undefined;
  readonly #debugging: boolean;
  #look = 0;
  #waitingSince = 0;
  #queue: { waits: bigint; microseconds: bigint };
  #begun = 0;
  #lastBusy = performance.now();
  #begunAtRetry = -1;

  constructor(pool: Pool) {
    const { config, scoreboard } = pool.surroundings;
    this.#pool = pool;
    this.#scaling = config.minProcesses < config.maxProcesses ? new Scaling(config.minProcesses, config.maxProcesses) : undefined;
    // Whoever stops at a breakpoint makes the loop stand still.
    this.#debugging = config.nodeOptions.some((option) => option.startsWith('--inspect'));
    this.#queue = scoreboard.queueWaits(pool.index);
  }

  /** To be called {@link LOOKS} times a second. */
  look(): void {
    const pool = this.#pool;
    const now = performance.now();
    this.#checkScripts(now);
    // Also of those that leave: one that stands still would use up all the time that it has for its requests.
    for (const member of pool.members.values()) if (!member.starting) this.#checkLoop(member, now);
    this.#look = (this.#look + 1) % LOOKS;
    if (this.#look !== 0) return;
    for (const member of pool.serving) this.#checkLimits(member);
    this.#checkActivity(now);
    this.#checkLoad();
    this.#checkWaiting();
  }

  #checkScripts(now: number): void {
    const pool = this.#pool;
    if (pool.reloading && !pool.overtaken) return;
    if (pool.serving.length === 0 && !pool.paused) return;
    const changed = pool.scripts.changed(Date.now());
    if (changed !== undefined) {
      this.#begunAtRetry = -1;
      void pool.reload('script_reload', `${changed} changed`);
      return;
    }
    if (now < pool.retryLoadAt || pool.reloading) return;
    // The first time at once; then only when somebody has asked for it since.
    const begun = this.#begunByAll();
    if (begun === this.#begunAtRetry) return;
    this.#begunAtRetry = begun;
    void pool.reload('script_reload', 'a script had not loaded');
  }

  #checkLoop(member: Member, now: number): void {
    if (this.#debugging) return;
    const { worker, ladder } = member;
    const { scoreboard, config } = this.#pool.surroundings;
    const { slot } = worker;
    const alone = config.script !== null && config.requestTimeout > 0;
    const overdue = alone && scoreboard.active(slot) > 0 && ladder.silence(now) >= config.requestTimeout;
    switch (ladder.look(now, scoreboard.loopBeat(slot), scoreboard.timedOut(slot), overdue)) {
      case 'interrupt':
        this.#interrupt(member, 'requestTimeout', 'a request took longer than request-timeout, and');
        this.#pool.replace(member, 'request_timeout', 'request-timeout', true);
        return;
      case 'inspect':
        this.#interrupt(member, 'loopBlocked', `for deadlock-timeout (${seconds(ladder.silence(now))})`);
        this.#pool.replace(member, 'deadlock_timeout', 'deadlock-timeout', true);
        return;
      case 'killForRequest':
        return worker.kill('requestTimeout', silenceOf(member, now));
      case 'killForSilence':
        return worker.kill('loopBlocked', silenceOf(member, now));
    }
  }

  #interrupt({ worker }: Member, reason: 'requestTimeout' | 'loopBlocked', why: string): void {
    const what = worker.pythonStandsStill ? `Python stands still in worker ${worker.pid} (NWSGI2610): it is replaced` : `the event loop of worker ${worker.pid} stands still: its JavaScript is interrupted, its stack follows`;
    this.#pool.log(LogLevel.warning, Code.interrupted, `${why} ${what}`);
    worker.interrupt(reason);
  }

  #checkLimits(member: Member): void {
    const { worker, limits } = member;
    const { scoreboard } = this.#pool.surroundings;
    const usage = limits.needUsage ? worker.usage() : undefined;
    const { processor, resident } = usage ?? { processor: 0, resident: 0 };
    const verdict = limits.check({ requests: scoreboard.begun(worker.slot), age: worker.age, processor, resident });
    if (verdict.action === 'replace') this.#pool.replace(member, verdict.reason, verdict.why);
    if (verdict.action === 'kill') worker.kill('memoryLimit', verdict.why);
  }

  #begunByAll(): number {
    const { scoreboard } = this.#pool.surroundings;
    return this.#pool.serving.reduce((sum, { worker }) => sum + scoreboard.begun(worker.slot), 0);
  }

  /** inactivity-timeout: what is loaded before its first request is started afresh, anything else waits for a request. */
  #checkActivity(now: number): void {
    const pool = this.#pool;
    const { scoreboard, config } = pool.surroundings;
    const { serving } = pool;
    const begun = this.#begunByAll();
    const busy = serving.some(({ worker }) => scoreboard.active(worker.slot) > 0 || scoreboard.upgraded(worker.slot) > 0);
    if (busy || begun !== this.#begun || serving.length === 0 || serving.length < pool.live.length) this.#lastBusy = now;
    this.#begun = begun;
    if (config.inactivityTimeout === 0 || now - this.#lastBusy < config.inactivityTimeout) return;
    this.#lastBusy = now;
    if (pool.preloaded) {
      for (const member of serving) if (scoreboard.begun(member.worker.slot) > 0) pool.replace(member, 'inactivity_timeout', 'inactivity-timeout');
      return;
    }
    pool.log(LogLevel.info, Code.inactive, `no request for ${seconds(config.inactivityTimeout)}: its workers end; the next request starts one`);
    pool.rest('inactivity_timeout');
  }

  #checkLoad(): void {
    const pool = this.#pool;
    const { scoreboard } = pool.surroundings;
    const queue = scoreboard.queueWaits(pool.index);
    const waits = Number(queue.waits - this.#queue.waits);
    const waited = Number(queue.microseconds - this.#queue.microseconds) / 1000;
    this.#queue = queue;
    if (this.#scaling === undefined || pool.reloading) return;
    const { serving, live } = pool;
    const utilisation = serving.reduce((sum, { worker }) => sum + scoreboard.elu(worker.slot) / 1000, 0) / Math.max(serving.length, 1);
    const waiting = scoreboard.waiting(pool.index) + pool.hellos.waiting;
    const load = { utilisation, waiting, queueWait: waits === 0 ? 0 : waited / waits, serving: serving.length, starting: live.length - serving.length };
    const why = waiting > 0 ? `${waiting} requests wait` : `event loops are busy for ${Math.round(utilisation * 100)} % of the time`;
    pool.resize(this.#scaling.decide(pool.target, load), why);
  }

  #checkWaiting(): void {
    const pool = this.#pool;
    const { scoreboard, config } = pool.surroundings;
    const room = pool.serving.some(({ worker }) => scoreboard.claims(worker.slot) < config.threads);
    this.#waitingSince = room && scoreboard.waiting(pool.index) > 0 ? this.#waitingSince + 1 : 0;
    if (this.#waitingSince === 0) return;
    // Nobody is to wait while there is room: wake them, or there is nobody.
    scoreboard.announce(pool.index);
    if (this.#waitingSince > LEFT_BEHIND) scoreboard.forgetWaiting(pool.index);
  }
}
