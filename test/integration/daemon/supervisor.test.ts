/** Pools, exits and signals of a supervisor, with stand-ins for workers that do on command what applications do by mistake. */
import { afterEach, describe, expect, it } from 'vitest';
import { waitFor } from '../harness/wait.js';
import { isAlive, SupervisorProcess } from './supervisor-process.js';

let supervisor: SupervisorProcess | undefined;

const start = async (application = '', config: Record<string, unknown> = {}, closed = false) => (supervisor = await new SupervisorProcess().start(application, config, closed));

afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
});

/** Does on command what ends a process. */
const ENDS = `exports.onCommand = (command, { send }) => {
  if (command === 'exit') process.exit(3);
  if (command === 'words') { send({ type: 'exiting', code: 'NWSGI3004', status: 500, text: 'process.exit(5) was called', exitCode: 5 }); process.exit(5); }
  if (command === 'abort') process.abort();
  if (command === 'kill') process.kill(process.pid, 'SIGKILL');
  if (command === 'heap') { const all = []; for (;;) all.push(new Array(1e5).fill(0).map((_, i) => ({ i }))); }
};`;

describe('a pool', () => {
  it('starts at the first hello and hands the connection to a worker', async () => {
    const s = await start();
    await waitFor('the supervisor', () => isAlive(s.pid));
    expect(s.workers()).toEqual([]);
    const connection = await s.hello();
    expect(connection.answer).toMatchObject({ status: 0, generation: 1, slot: 0 });
    expect(await connection.ask('pid')).toBe(String(connection.answer.pid));
    const config = JSON.parse((await connection.ask('config')) ?? '{}') as Record<string, unknown>;
    expect(config).toMatchObject({ applicationGroup: 'a', processGroup: 'group', slot: 0, generation: 1 });
  });

  it('is started at once when something is preloaded, with all its processes', async () => {
    const s = await start('', { processes: 3, preload: [{ applicationGroup: 'p', script: '/nothing/there.mjs' }] });
    await s.settled(3);
    const { answer } = await s.hello('p');
    expect(s.workers()).toContain(answer.pid);
  });

  it('has a worker of its own for each application group, and connections to the worker that is named', async () => {
    const s = await start();
    const [a, b] = [await s.hello('a'), await s.hello('b')];
    expect(a.answer.pid).not.toBe(b.answer.pid);
    const again = await s.hello('b', b.answer.slot, b.answer.generation);
    expect(again.answer).toEqual(b.answer);
    // A slot of another group, or of another generation, is not taken by its word.
    expect((await s.hello('a', b.answer.slot, b.answer.generation)).answer.pid).toBe(a.answer.pid);
    expect((await s.hello('a', a.answer.slot, a.answer.generation + 1)).answer.pid).toBe(a.answer.pid);
  });

  it('spreads connections over its workers', async () => {
    const s = await start('', { processes: 2 });
    await s.hello();
    await s.settled(2);
    await waitFor('both workers to serve', async () => (await s.hello()).answer.slot === 1);
    const pids = new Set<number>();
    for (let i = 0; i < 20; i++) pids.add((await s.hello()).answer.pid);
    expect(pids.size).toBe(2);
  });

  it('answers every hello of a crowd', async () => {
    const s = await start('exports.delay = 300;', { processes: 2 });
    const connections = await Promise.all(Array.from({ length: 200 }, () => s.hello()));
    for (const { answer } of connections) expect(answer.status).toBe(0);
    const pids = await Promise.all(connections.map((connection) => connection.ask('pid')));
    expect(pids).toEqual(connections.map(({ answer }) => String(answer.pid)));
  });

  it('passes no descriptor of its own to workers', async () => {
    const s = await start(`const fs = require('node:fs');
      exports.onCommand = (command, api, socket) => socket.write(JSON.stringify(fs.readdirSync('/proc/self/fd').map((fd) => {
        try { return fd + ' ' + fs.readlinkSync('/proc/self/fd/' + fd); } catch { return ''; }
      })) + '\\n');`);
    const { ask } = { ask: await s.hello() };
    const files = JSON.parse((await ask.ask('files')) ?? '[]') as string[];
    const numbers = files.filter((file) => /^[0-9]+ (?!anon_inode|\/proc)/.test(file)).map((file) => Number(file.split(' ')[0]));
    expect(files.find((file) => file.startsWith('4 '))).toBe('4 /dev/null');
    // 0 to 4, /dev/null that Node opens for itself, pipes of its loop, and this connection.
    expect(files.filter((file) => /^\d+ socket:/.test(file)).length, files.join('\n')).toBeLessThanOrEqual(4);
    expect(numbers.length).toBeLessThan(20);
  });
});

describe('the end of a worker', () => {
  const cases: [command: string, line: RegExp][] = [
    ['exit', /NWSGI4205 application group 'a': worker \d+ \(slot 0\) of process group 'group' ended by itself \(exit code 3\) after/],
    ['words', /NWSGI4205 .*ended by itself \(exit code 5; NWSGI3004 process\.exit\(5\) was called\)/],
    ['abort', /NWSGI4206 .*was ended by SIGABRT/],
    ['kill', /NWSGI4208 .*was killed by somebody else \(SIGKILL\)/],
  ];
  it.each(cases)('by %s is one line, and a fresh worker follows', async (command, line) => {
    const s = await start(ENDS);
    const connection = await s.hello();
    expect(await connection.ask(command)).toBeUndefined();
    await s.logged(line);
    const { answer } = await s.hello();
    expect(answer).toMatchObject({ status: 0, generation: 1 });
    expect(answer.pid).not.toBe(connection.answer.pid);
  });

  it('by an exhausted heap is recognised', async () => {
    const s = await start(ENDS, { heapLimit: 24 * 2 ** 20 });
    const connection = await s.hello();
    await connection.ask('heap');
    await s.logged(/NWSGI4207 .*its JavaScript heap was exhausted/);
    // What V8 prints is there, too, with the worker's own process ID.
    expect(s.log).toMatch(new RegExp(`\\[pid ${connection.answer.pid}\\] \\[group\\|a\\] .*heap out of memory`));
  }, 60_000);

  it('before it was ready: tried again after pauses that grow, then 503; the corrected script is tried at once', async () => {
    const s = await start('process.exit(8);');
    const { answer } = await s.hello();
    expect(answer).toMatchObject({ status: 1, httpStatus: 503, code: 'NWSGI3009' });
    expect(answer.retryAfter).toBeGreaterThan(0);
    expect(s.log).toMatch(/NWSGI4203 .*ended before it was ready \(exit code 8\)/);
    expect((s.log.match(/NWSGI4203/g) ?? []).length).toBeGreaterThanOrEqual(4);
    s.write('');
    const served = await waitFor('the corrected script', async () => {
      const connection = await s.hello();
      return connection.answer.status === 0 ? connection : undefined;
    }, 3_000);
    expect(await served.ask('pid')).toBe(String(served.answer.pid));
  }, 30_000);

  it('that cannot work at all is said once', async () => {
    const s = await start(`exports.onStart = ({ send }) => { send({ type: 'exiting', code: 'NWSGI4250', status: 503, text: 'the addon is missing', exitCode: 78 }); process.exit(78); };`);
    const { answer } = await s.hello();
    expect(answer).toMatchObject({ status: 1, httpStatus: 503, code: 'NWSGI4204' });
    expect(answer.message).toContain('the addon is missing');
    expect((await s.hello()).answer.code).toBe('NWSGI4204');
    expect(s.log.match(/NWSGI4204/g)).toHaveLength(1);
  });

  it('a Node binary that is not there is said', async () => {
    const s = await start('', { node: '/nowhere/node' });
    expect((await s.hello()).answer).toMatchObject({ status: 1, httpStatus: 503, code: 'NWSGI4202' });
    expect(s.log).toMatch(/NWSGI4202 .*could not be started: .*ENOENT/);
  });

  it('loading that does not end is ended: 504', async () => {
    const s = await start("exports.delay = 'never';", { startupTimeout: 300 });
    const { answer } = await s.hello();
    expect(answer).toMatchObject({ status: 1, httpStatus: 504, code: 'NWSGI3014' });
    await s.logged(/NWSGI3014 .*was killed: it did not finish loading within 0\.3 s/);
  });

  it('what it prints is in the log, with group and process ID, in order', async () => {
    const s = await start(`exports.onStart = () => { console.log('first\\tline'); console.error('second \\u001b[31m'); process.stdout.write('without end'); };`);
    const { answer } = await s.hello();
    await s.logged(/\[nwsgi:error\] .*second/);
    expect(s.log).toMatch(new RegExp(`^\\[.* \\d{4}\\] \\[nwsgi:notice\\] \\[pid ${answer.pid}\\] \\[group\\|a\\] first\\\\tline$`, 'm'));
    expect(s.log).toContain('second \\x1b[31m');
  });
});

describe('signals', () => {
  it('TTIN and TTOU: one worker more, one less', async () => {
    const s = await start();
    await s.hello();
    await s.settled(1);
    s.signal('SIGTTIN');
    await s.settled(2);
    s.signal('SIGTTIN');
    await s.settled(3);
    for (let i = 0; i < 5; i++) {
      s.signal('SIGTTOU');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await s.settled(1);
    expect((await s.hello()).answer.status).toBe(0);
  });

  it('TERM: connections in use may end, then everything has', async () => {
    const s = await start('', { processes: 2 });
    const connection = await s.hello();
    await s.settled(2);
    s.signal('SIGTERM');
    await s.logged(/NWSGI4217 .*it stops; requests may go on for 2\.0 s/);
    expect((await s.hello()).answer).toMatchObject({ status: 1, httpStatus: 503, code: 'NWSGI4217' });
    expect(await connection.ask('pid')).toBe(String(connection.answer.pid));
    connection.close();
    expect(await s.ended()).toBe(0);
    expect(isAlive(connection.answer.pid)).toBe(false);
  });

  it('TERM: a worker that does not end is killed', async () => {
    const s = await start('exports.onDrain = () => true;', { gracefulTimeout: 200, shutdownTimeout: 100 });
    await s.hello();
    s.signal('SIGTERM');
    expect(await s.ended()).toBe(0);
    expect(s.log).toMatch(/NWSGI4212 .*was killed: it did not end in time/);
  });

  it.each(['SIGQUIT', 'SIGINT'] as const)('%s: at once', async (signal) => {
    const s = await start('', { gracefulTimeout: 60_000 });
    const connection = await s.hello();
    s.signal('SIGTERM');
    s.signal(signal);
    expect(await s.ended()).toBe(0);
    expect(isAlive(connection.answer.pid)).toBe(false);
  });

  it('the end of the lifeline stops it', async () => {
    const s = await start();
    const connection = await s.hello();
    s.closeLifeline();
    connection.close();
    expect(await s.ended()).toBe(0);
    expect(s.log).toMatch(/NWSGI4217 .*nobody needs this process group any more/);
  });

  it('its own death ends its workers', async () => {
    const s = await start('', { processes: 2 });
    await s.hello();
    const workers = await s.settled(2);
    s.signal('SIGKILL');
    expect(await s.ended()).toBe('SIGKILL');
    for (const pid of workers) await waitFor(`the end of worker ${pid}`, () => !isAlive(pid));
  });
});

describe('a configuration', () => {
  it('that cannot work is refused with exit code 78', async () => {
    const s = await start('', { threads: 0 });
    expect(await s.ended()).toBe(78);
    expect(s.log).toMatch(/\[nwsgi:crit\] .*NWSGI4201 .*threads is to be a whole number/);
  });
});

describe('the error log', () => {
  it('being gone keeps the supervisor from nothing', async () => {
    const s = await start(ENDS, {}, true);
    const connection = await s.hello();
    await connection.ask('exit');
    expect((await s.hello()).answer.status).toBe(0);
    s.signal('SIGTERM');
    expect(await s.ended()).toBe(0);
  });
});
