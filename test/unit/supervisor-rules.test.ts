/** What a supervisor decides, without processes: pauses, limits, the ladder of time-outs, the number of workers. */
import { describe, expect, it } from 'vitest';
import { backOff } from '../../src/supervisor/back-off.js';
import { reportOf } from '../../src/supervisor/exit.js';
import type { Ending } from '../../src/supervisor/exit.js';
import { errorLog, isFormatted, LogLevel } from '../../src/supervisor/log.js';
import { Ladder } from '../../src/supervisor/ladder.js';
import { WorkerLimits, withJitter } from '../../src/supervisor/limits.js';
import type { Limits } from '../../src/supervisor/limits.js';
import { Rolling } from '../../src/supervisor/rolling.js';
import { Scaling } from '../../src/supervisor/scaling.js';
import type { Load } from '../../src/supervisor/scaling.js';

describe('the pause before a start', () => {
  it('grows from nothing to half a minute', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map(backOff)).toEqual([0, 0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });
});

describe('the limits of a worker', () => {
  const none: Limits = { maximumRequests: 0, maximumRequestsJitter: 10, restartInterval: 0, cpuTimeLimit: 0, memorySoftLimit: 0, memoryLimit: 0 };
  const used = { requests: 1e9, age: 1e9, processor: 1e9, resident: 1e12 };

  it('are off at 0', () => {
    expect(new WorkerLimits(none).check(used)).toEqual({ action: 'none' });
    expect(new WorkerLimits(none).needUsage).toBe(false);
  });

  it('differ by the jitter, and are never higher than they say', () => {
    expect(withJitter(1000, 10, 0)).toBe(1000);
    expect(withJitter(1000, 10, 1)).toBe(900);
    const values = Array.from({ length: 200 }, () => new WorkerLimits({ ...none, maximumRequests: 1000 }).requests);
    for (const value of values) expect(value).toBeGreaterThanOrEqual(900);
    for (const value of values) expect(value).toBeLessThanOrEqual(1000);
    expect(new Set(values).size).toBeGreaterThan(20);
    expect(new WorkerLimits({ ...none, maximumRequests: 1, maximumRequestsJitter: 100 }, () => 1).requests).toBe(1);
  });

  it.each<[Partial<Limits>, string]>([
    [{ maximumRequests: 100 }, 'maximum_requests'],
    [{ restartInterval: 100 }, 'restart_interval'],
    [{ cpuTimeLimit: 100 }, 'cpu_time_limit'],
    [{ memorySoftLimit: 100 }, 'memory_soft_limit'],
  ])('%o have a fresh one take its place', (limits, reason) => {
    const worker = new WorkerLimits({ ...none, maximumRequestsJitter: 0, ...limits });
    expect(worker.check({ requests: 99, age: 99, processor: 99, resident: 99 })).toEqual({ action: 'none' });
    expect(worker.check({ requests: 100, age: 100, processor: 100, resident: 101 })).toMatchObject({ action: 'replace', reason });
  });

  it('of memory: the hard one kills', () => {
    const worker = new WorkerLimits({ ...none, memoryLimit: 2 ** 30, memorySoftLimit: 2 ** 29 });
    expect(worker.needUsage).toBe(true);
    expect(worker.check({ ...used, resident: 2 ** 29 + 1 })).toMatchObject({ action: 'replace' });
    expect(worker.check({ ...used, resident: 2 ** 30 + 1 })).toEqual({ action: 'kill', why: '(1024 MiB of 1024 MiB)' });
  });
});

describe('the ladder', () => {
  const times = { interruptTimeout: 2_000, deadlockTimeout: 10_000, shutdownTimeout: 5_000 };
  /** Looks five times a second; `beats` while true; returns what happened when. */
  const climb = (ladder: Ladder, from: number, to: number, beats: boolean, timedOut = 0) => {
    const happened: string[] = [];
    for (let now = from; now <= to; now += 200) {
      const rung = ladder.look(now, beats ? now : 0, timedOut);
      if (rung !== 'none') happened.push(`${now} ${rung}`);
    }
    return happened;
  };

  it('is not climbed while the loop runs, whatever timed out', () => {
    expect(climb(new Ladder(times, 0), 200, 60_000, true, 3)).toEqual([]);
  });

  it('interrupts a loop that stands still when a request timed out, and kills when that does not help', () => {
    const ladder = new Ladder(times, 0);
    expect(climb(ladder, 200, 1_000, false, 0)).toEqual([]);
    expect(climb(ladder, 1_200, 20_000, false, 1)).toEqual(['3200 interrupt', ...Array.from({ length: 60 }, (_, i) => `${8_200 + 200 * i} killForRequest`)]);
  });

  it('takes a request that is overdue for one that timed out, where no child says so', () => {
    const ladder = new Ladder(times, 0);
    expect(ladder.look(1_000, 0, 0, true)).toBe('none');
    expect([2_000, 2_800, 3_200].map((now) => ladder.look(now, 0, 0, true))).toEqual(['none', 'none', 'interrupt']);
    const moved = new Ladder(times, 0);
    moved.look(1_000, 0, 0, true);
    expect([2_000, 3_200, 4_000].map((now) => moved.look(now, now, 0))).toEqual(['none', 'none', 'none']);
  });

  it('is climbed although the loop ran for a moment after the time-out: Python may be what stands still', () => {
    const ladder = new Ladder(times, 0);
    expect(climb(ladder, 200, 1_000, true, 0)).toEqual([]);
    expect(climb(ladder, 1_200, 2_600, true, 1)).toEqual([]);
    expect(climb(ladder, 2_800, 5_000, false, 1)).toEqual(['4800 interrupt']);
  });

  it('leaves the worker to its drain when it runs again after the interrupt', () => {
    const ladder = new Ladder(times, 0);
    expect(climb(ladder, 200, 2_400, false, 1)).toEqual(['2200 interrupt']);
    expect(climb(ladder, 2_600, 60_000, true, 1)).toEqual([]);
  });

  it('has a look at the stack of a loop that stands still without a time-out, then kills', () => {
    const ladder = new Ladder(times, 0);
    expect(climb(ladder, 200, 11_000, false)).toEqual(['10000 inspect', '11000 killForSilence']);
  });

  it('is off without deadlock-timeout', () => {
    expect(climb(new Ladder({ ...times, deadlockTimeout: 0 }, 0), 200, 1_000_000, false)).toEqual([]);
  });

  it('says nothing about workers after a sleep of the machine', () => {
    const ladder = new Ladder(times, 0);
    expect(ladder.look(200, 0, 1)).toBe('none');
    expect(ladder.look(3_600_000, 0, 1)).toBe('none');
    expect(ladder.look(3_600_200, 0, 1)).toBe('none');
  });
});

describe('the number of workers', () => {
  const load: Load = { utilisation: 0.1, waiting: 0, queueWait: 0, serving: 2, starting: 0 };
  const after = (scaling: Scaling, seconds: number, target: number, now: Partial<Load>) => {
    let result = target;
    for (let i = 0; i < seconds && result === target; i++) result = scaling.decide(target, { ...load, serving: target, ...now });
    return result;
  };

  it('grows when requests wait, or loops are busy, one at a time up to the most', () => {
    expect(after(new Scaling(1, 4), 1, 2, { waiting: 5 })).toBe(2);
    expect(after(new Scaling(1, 4), 2, 2, { waiting: 5 })).toBe(3);
    expect(after(new Scaling(1, 4), 2, 2, { queueWait: 80 })).toBe(3);
    expect(after(new Scaling(1, 4), 2, 2, { utilisation: 0.9 })).toBe(2);
    expect(after(new Scaling(1, 4), 3, 2, { utilisation: 0.9 })).toBe(3);
    expect(after(new Scaling(1, 4), 60, 4, { utilisation: 1, waiting: 9 })).toBe(4);
  });

  it('waits for workers that start', () => {
    expect(after(new Scaling(1, 4), 60, 2, { waiting: 5, starting: 1 })).toBe(2);
  });

  it('shrinks after a quiet while, when the others could take the load', () => {
    expect(after(new Scaling(1, 4), 29, 2, {})).toBe(2);
    expect(after(new Scaling(1, 4), 30, 2, {})).toBe(1);
    expect(after(new Scaling(1, 4), 120, 2, { utilisation: 0.4 })).toBe(2);
    expect(after(new Scaling(1, 4), 120, 1, { utilisation: 0 })).toBe(1);
    expect(after(new Scaling(2, 4), 120, 2, {})).toBe(2);
  });
});

describe('a reload', () => {
  it('that is asked for again and again while one goes on is done once more', async () => {
    const rolling = new Rolling();
    const first = rolling.begin();
    const again = () => undefined;
    const others = [rolling.repeat(again), rolling.repeat(() => undefined), rolling.repeat(() => undefined)];
    expect(rolling.finish({ ok: true, message: 'first' })).toBe(again);
    expect((await first).message).toBe('first');
    const second = rolling.begin();
    expect(rolling.finish({ ok: false, message: 'second' })).toBeUndefined();
    expect((await second).message).toBe('second');
    expect((await Promise.all(others)).map(({ message }) => message)).toEqual(['second', 'second', 'second']);
  });
});

describe('the error log', () => {
  const wait = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

  it('has one entry for each line, as those of workers, and leaves out what is less important', () => {
    const entries: string[] = [];
    const log = errorLog(LogLevel.warning, (entry) => entries.push(entry));
    log.write(LogLevel.info, 'not this');
    log.write(LogLevel.error, 'one\ntwo', 77);
    log.pass('as it is');
    expect(entries).toHaveLength(2);
    expect(entries[0]).toMatch(/^\[.*\] \[nwsgi:error\] \[pid 77\] one\n\[.*\] \[nwsgi:error\] \[pid 77\] two\n$/);
    expect(isFormatted((entries[0] as string).split('\n')[0] as string)).toBe(true);
    expect(isFormatted('[Sun] one')).toBe(false);
    expect(entries[1]).toBe('as it is\n');
  });

  it('that takes nothing is left alone for a second; what was lost is told', () => {
    const entries: string[] = [];
    let slow = true;
    const log = errorLog(LogLevel.info, (entry) => {
      if (slow) wait(100);
      else entries.push(entry);
    });
    log.pass('first');
    slow = false;
    for (let i = 0; i < 10; i++) log.pass('lost');
    wait(1_010);
    log.pass('last');
    expect(entries).toHaveLength(2);
    expect(entries[0]).toMatch(/10 entries were lost/);
    expect(entries[1]).toBe('last\n');
  });
});

describe('the line about the end of a worker', () => {
  const ending: Ending = { exitCode: 0, signal: null, heapExhausted: false, kernelMemoryKill: false, ready: true, leaving: false, lifetime: 61_000, active: 0 };

  it.each<[Partial<Ending>, number, RegExp]>([
    [{ exitCode: 1, active: 1 }, 502, /^NWSGI4205 W ended by itself \(exit code 1\) after 61 s; one request was in progress$/],
    [{ exitCode: 1, lastWords: { code: 'NWSGI3004', status: 500, text: 'x' } }, 502, /exit code 1; NWSGI3004 x/],
    [{ exitCode: null, signal: 'SIGSEGV', active: 2 }, 502, /^NWSGI4206 W was ended by SIGSEGV after 61 s; 2 requests were in progress$/],
    [{ exitCode: null, signal: 'SIGABRT', heapExhausted: true }, 502, /^NWSGI4207 /],
    [{ exitCode: null, signal: 'SIGKILL' }, 502, /^NWSGI4208 .*somebody else \(SIGKILL\)/],
    [{ exitCode: null, signal: 'SIGKILL', kernelMemoryKill: true }, 502, /^NWSGI4208 .*the kernel, which was out of memory/],
    [{ exitCode: null, signal: 'SIGKILL', killed: 'requestTimeout' }, 503, /^NWSGI4209 /],
    [{ exitCode: 1, interrupted: 'requestTimeout' }, 503, /^NWSGI4209 W ended after it was interrupted: a request took longer/],
    [{ exitCode: 1, interrupted: 'loopBlocked', leaving: true }, 504, /^NWSGI4210 /],
    [{ exitCode: null, signal: 'SIGKILL', killed: 'loopBlocked', detail: 'for 300 s' }, 504, /^NWSGI4210 .*stood still for 300 s/],
    [{ exitCode: null, signal: 'SIGKILL', killed: 'memoryLimit' }, 502, /^NWSGI4211 /],
    [{ exitCode: null, signal: 'SIGKILL', killed: 'stopTimeout', leaving: true }, 503, /^NWSGI4212 /],
    [{ exitCode: null, signal: 'SIGKILL', killed: 'startTimeout', ready: false }, 504, /^NWSGI3014 /],
    [{ exitCode: 1, ready: false }, 503, /^NWSGI4203 W ended before it was ready \(exit code 1\)/],
    [{ exitCode: 78, ready: false }, 503, /^NWSGI4204 W cannot work \(exit code 78\)/],
    [{ exitCode: 9, ready: false }, 503, /^NWSGI4204 /],
    [{ exitCode: 9, ready: false, lastWords: { code: 'NWSGI3004', status: 500, text: 'x' } }, 503, /^NWSGI4203 /],
    [{ exitCode: null, spawnError: new Error('spawn /x ENOENT'), lifetime: 1 }, 503, /^NWSGI4202 W could not be started: spawn \/x ENOENT$/],
    [{ exitCode: 1, leaving: true }, 503, /^NWSGI4223 /],
    [{ exitCode: null, signal: 'SIGSEGV', leaving: true }, 502, /^NWSGI4206 /],
  ])('%o', (given, status, line) => {
    const report = reportOf({ ...ending, ...given }, 'W');
    expect(`${report.code} ${report.text}`).toMatch(line);
    expect(report.status).toBe(status);
  });
});
