/** Reloads of a pool with stand-ins for workers: fresh ones first, old ones when new code fails, nothing lost. */
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { sleep, waitFor } from '../harness/wait.js';
import { isAlive, SupervisorProcess } from './supervisor-process.js';

let supervisor: SupervisorProcess | undefined;

const start = async (application = '', config: Record<string, unknown> = {}) => (supervisor = await new SupervisorProcess().start(application, config));
const VERSION = (version: string, rest = '') => `exports.onCommand = (command, api, socket) => socket.write('${version}\\n'); ${rest}`;

afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
});

/** One request, as a child makes it: a worker that left before it answered is no answer. */
async function version(s: SupervisorProcess): Promise<string> {
  for (let i = 0; i < 4; i++) {
    const connection = await s.hello();
    expect(connection.answer).toMatchObject({ status: 0, code: '' });
    const text = await connection.ask('version');
    connection.close();
    if (text !== undefined) return text;
  }
  throw new Error(`no answer:\n${s.log}`);
}

describe('HUP', () => {
  it('replaces all workers, one after the other', async () => {
    const s = await start(VERSION('1'), { processes: 3 });
    await version(s);
    const before = await s.settled(3);
    s.write(VERSION('2'));
    s.signal('SIGHUP');
    await s.logged(/NWSGI4215/);
    const after = await s.settled(3);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
    expect(await version(s)).toBe('2');
  });

  it('has the fresh worker ready before the old one leaves', async () => {
    const s = await start(VERSION('1', 'exports.delay = 1500;'), { reloading: false });
    await version(s);
    const [old = 0] = await s.settled(1);
    s.write(VERSION('2', 'exports.delay = 1500;'));
    s.signal('SIGHUP');
    const begin = performance.now();
    let slowest = 0;
    while (isAlive(old)) {
      const asked = performance.now();
      await version(s);
      slowest = Math.max(slowest, performance.now() - asked);
    }
    expect(performance.now() - begin).toBeGreaterThan(1_400);
    expect(slowest).toBeLessThan(1_000);
  });

  it('while connections last lets them end', async () => {
    const s = await start(VERSION('1'), { reloading: false });
    const connection = await s.hello();
    s.write(VERSION('2'));
    s.signal('SIGHUP');
    await s.logged(/NWSGI4215/);
    expect(await version(s)).toBe('2');
    expect(await connection.ask('version')).toBe('1');
    connection.close();
    await waitFor('the end of the old worker', () => !isAlive(connection.answer.pid));
  });

  it('in a storm is done once more than it began, and loses nothing', async () => {
    const s = await start(VERSION('0'), { processes: 2, reloading: false });
    await version(s);
    await s.settled(2);
    let served = 0;
    let on = true;
    const load = Promise.all(Array.from({ length: 4 }, async () => {
      while (on) {
        await version(s);
        served += 1;
      }
    }));
    for (let i = 1; i <= 40; i++) {
      s.write(VERSION(String(i)));
      s.signal('SIGHUP');
      await sleep(50);
    }
    await waitFor('the last version from both workers', async () => (await version(s)) === '40' && (await version(s)) === '40');
    on = false;
    await load;
    expect(served).toBeGreaterThan(100);
    await s.settled(2);
    const reloads = s.log.match(/NWSGI4215/g)?.length ?? 0;
    expect(reloads).toBeGreaterThan(1);
    expect(reloads).toBeLessThan(40);
    expect(s.log).not.toMatch(/\[nwsgi:(error|crit)\]/);
  });
});

describe('new code', () => {
  it.each([
    ['throws', "throw new Error('broken on purpose');", /NWSGI3013 .*broken on purpose.*The old version goes on serving/],
    ['ends its process', 'process.exit(4);', /NWSGI3013 .*ended before it was ready \(exit code 4\).*The old version goes on serving/],
    ['never gets ready', "exports.delay = 'never';", /NWSGI3013 .*did not finish loading.*The old version goes on serving/],
  ])('that %s leaves the old workers serving, and is tried again when it changes', async (_, broken, line) => {
    const s = await start(VERSION('1'), { processes: 2, startupTimeout: 4_000 });
    await waitFor('both workers to serve', async () => new Set([(await s.hello()).answer.slot, (await s.hello()).answer.slot]).size === 2);
    const before = (await s.settled(2)).sort();
    s.write(broken);
    await s.logged(line);
    expect((await s.settled(2)).sort(), s.log).toEqual(before);
    expect(await version(s)).toBe('1');
    // It is not tried again and again.
    await sleep(500);
    expect(s.log.match(/NWSGI3013/g)).toHaveLength(1);
    s.write(VERSION('3'));
    await s.logged(/NWSGI4215/);
    expect(await version(s)).toBe('3');
  });

  it('that is broken at a HUP leaves them serving, too', async () => {
    const s = await start(VERSION('1'), { reloading: false });
    await version(s);
    const before = await s.settled(1);
    s.write('nonsense(');
    s.signal('SIGHUP');
    await s.logged(/NWSGI3013/);
    expect(await s.settled(1)).toEqual(before);
    s.write(VERSION('2'));
    s.signal('SIGHUP');
    await s.logged(/NWSGI4215/);
    expect(await version(s)).toBe('2');
  });

  it('is found by touching the script, and a removed one is no reason', async () => {
    const s = await start(VERSION('1'));
    await version(s);
    const [first] = await s.settled(1);
    rmSync(s.script);
    await sleep(600);
    expect(await s.settled(1)).toEqual([first]);
    s.write(VERSION('2'));
    await s.logged(/NWSGI3010 .*application\.cjs changed/);
    await waitFor('the new version', async () => (await version(s)) === '2');
  });
});
