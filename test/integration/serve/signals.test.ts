// Gunicorn's signals.
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isListening, NwsgiServe, processInfo, sleep, startLoad, waitFor, withServe } from '../harness/index.js';
import { SteadyLoad } from '../harness/steady-load.js';

const slow = ['faults/answers-slowly.mjs', 'faults/answer.mjs'];
const args = (s: NwsgiServe, ...more: string[]): string[] => [`--http=127.0.0.1:${s.port}`, ...more];
const versioned = (version: string): string => `export const application = (environ, start) => (start('200 OK', []), ['version ${version} ' + process.pid]);\n`;

/** Pids of workers once there are so many that serve. */
const workers = (server: NwsgiServe, count: number, besides: readonly number[] = []): Promise<number[]> =>
  waitFor(`${count} workers`, () => {
    const pids = server.workers().filter((pid) => !besides.includes(pid));
    return pids.length === count && server.workers().length === count ? pids : undefined;
  });

describe('TERM', () => {
  it('finishes what is in progress and then ends with 0', async () => {
    await withServe({ apps: slow, args: (s) => args(s, '--processes=2') }, async (server) => {
      const answer = server.get('/?1000');
      const late = server.get('/late-body?1000');
      await sleep(300);
      const began = performance.now();
      server.signal('SIGTERM');
      expect((await answer).status).toBe(200);
      expect(await late).toMatchObject({ text: 'firstlast', complete: true });
      expect(await server.exit()).toBe(0);
      expect(performance.now() - began).toBeLessThan(4000);
      expect(await isListening(server.port)).toBe(false);
    });
  });

  it('waits no longer than --graceful-timeout', async () => {
    await withServe({ apps: slow, args: (s) => args(s, '--graceful-timeout=500ms', '--shutdown-timeout=500ms') }, async (server) => {
      const answer = server.get('/?20000').catch((error: Error) => error);
      await sleep(300);
      server.signal('SIGTERM');
      expect(await server.exit(5000)).toBe(0);
      expect(await answer).not.toMatchObject({ status: 200 });
    });
  });
});

describe('INT and QUIT', () => {
  it.each(['SIGINT', 'SIGQUIT'] as const)('%s stops at once', async (name) => {
    await withServe({ apps: slow, args }, async (server) => {
      const answer = server.get('/?20000').catch((error: Error) => error);
      await sleep(300);
      server.signal(name);
      expect(await server.exit(7000)).toBe(0);
      expect(await answer).not.toMatchObject({ status: 200 });
    });
  });

  it('a graceful stop can be made a quick one', async () => {
    await withServe({ apps: slow, args }, async (server) => {
      const answer = server.get('/?20000').catch((error: Error) => error);
      await sleep(300);
      server.signal('SIGTERM');
      await sleep(500);
      expect(server.running).toBe(true);
      server.signal('SIGQUIT');
      expect(await server.exit(7000)).toBe(0);
      await answer;
    });
  });
});

describe('HUP', () => {
  it('replaces all workers under load, and no request is lost', async () => {
    const server = new NwsgiServe({ args: (s) => args(s, '--processes=2', '--no-reload') });
    server.writeApp('app.mjs', versioned('1'));
    await server.start();
    const fresh = startLoad(server, '/', { connections: 3, check: (body) => /^version \d+ \d+$/.test(body) });
    const kept = new SteadyLoad(server.url(), { kept: 2, fresh: 0 });
    for (let version = 2; version <= 4; version++) {
      const old = await workers(server, 2);
      server.writeApp('app.mjs', versioned(String(version)));
      server.signal('SIGHUP');
      await workers(server, 2, old);
      expect((await server.get('/')).text).toMatch(new RegExp(`^version ${version} `));
    }
    const [result, steady] = [await fresh.stop(), await kept.stop()];
    expect(result.failures).toEqual([]);
    expect(steady.lost).toEqual([]);
    expect(result.requests + steady.requests).toBeGreaterThan(200);
    await server.stop();
  });

  it('keeps the old workers when the new code does not load, and says why', async () => {
    const server = new NwsgiServe({ args: (s) => args(s, '--processes=2', '--no-reload') });
    server.writeApp('app.mjs', versioned('1'));
    await server.start();
    const old = await workers(server, 2);
    // The second one may still be loading the script.
    await sleep(1000);
    const since = server.mark();
    server.writeApp('app.mjs', 'throw new Error("broken on purpose");\n');
    server.signal('SIGHUP');
    await server.expectOutput(/Error: broken on purpose\n.* at \S+app\.mjs:1:7/, { since });
    await server.expectOutput(/NWSGI3013 .*The old version goes on serving/, { since });
    await sleep(500);
    expect((await server.get('/')).text).toMatch(/^version 1 /);
    expect(server.workers()).toEqual(expect.arrayContaining(old));
    server.writeApp('app.mjs', versioned('2'));
    server.signal('SIGHUP');
    await waitFor('version 2', async () => (await server.get('/')).text.startsWith('version 2 '));
    await server.stop();
  });
});

describe('a changed script', () => {
  it('replaces the workers by itself; with --no-reload it does not', async () => {
    const run = async (...more: string[]): Promise<string> => {
      const server = new NwsgiServe({ args: (s) => args(s, ...more) });
      server.writeApp('app.mjs', versioned('1'));
      await server.start();
      await server.get('/');
      server.writeApp('app.mjs', versioned('2'));
      await sleep(2500);
      const { text } = await server.get('/');
      await server.stop();
      return text;
    };
    const [reloaded, not] = await Promise.all([run(), run('--no-reload')]);
    expect(reloaded).toMatch(/^version 2/);
    expect(not).toMatch(/^version 1/);
  });
});

describe('TTIN and TTOU', () => {
  it('change the number of workers, to no less than one', async () => {
    await withServe({ apps: ['hello.mjs'], args }, async (server) => {
      await workers(server, 1);
      server.signal('SIGTTIN');
      await workers(server, 2);
      server.signal('SIGTTIN');
      await workers(server, 3);
      server.signal('SIGTTOU');
      await workers(server, 2);
      server.signal('SIGTTOU');
      await workers(server, 1);
      server.signal('SIGTTOU');
      await sleep(500);
      expect(server.workers()).toHaveLength(1);
      expect((await server.get('/')).status).toBe(200);
    });
  });
});

describe('USR1', () => {
  it('opens the log again', async () => {
    const log = (s: NwsgiServe): string => join(s.root, 'logs', 'error.log');
    await withServe({ apps: ['prints.cjs'], args: (s) => args(s, `--error-log=${log(s)}`) }, async (server) => {
      await server.get('/?one');
      await waitFor('the line', () => readFileSync(log(server), 'utf8').includes('one error'));
      renameSync(log(server), `${log(server)}.1`);
      await server.get('/?two');
      await waitFor('the line in the old file', () => readFileSync(`${log(server)}.1`, 'utf8').includes('two error'));
      expect(existsSync(log(server))).toBe(false);
      server.signal('SIGUSR1');
      await waitFor('a new file', () => existsSync(log(server)));
      await server.get('/?three');
      await waitFor('the line in the new file', () => readFileSync(log(server), 'utf8').includes('three error'));
      expect(readFileSync(`${log(server)}.1`, 'utf8')).not.toContain('three');
      // The terminal has the announcement only.
      expect(server.output()).toMatch(/log +\S+error\.log\n$/);
    });
  });
});

describe('USR2', () => {
  const pidFile = (s: NwsgiServe): string => join(s.root, 'run', 'pid');
  const read = (file: string): number => (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0);

  const upgraded = async (body: (server: NwsgiServe, successor: number) => Promise<void>): Promise<void> => {
    const server = new NwsgiServe({ args: (s) => args(s, `--pid-file=${pidFile(s)}`, `--fastcgi=unix:${s.socket}`, '--no-reload') });
    server.writeApp('app.mjs', versioned('1'));
    await server.start();
    expect(read(pidFile(server))).toBe(server.pid);
    writeFileSync(server.script, versioned('2'));
    server.signal('SIGUSR2');
    await server.expectOutput(/NWSGI4324 process \d+ serves beside this one/);
    const successor = read(`${pidFile(server)}.2`);
    expect(processInfo(successor)?.parent).toBe(server.pid);
    await body(server, successor);
  };

  const versions = async (server: NwsgiServe): Promise<Set<string>> => {
    const seen = new Set<string>();
    for (let i = 0; i < 60; i++) seen.add((await server.get('/')).text.slice(0, 9));
    return seen;
  };

  it('starts a successor on the same sockets; TERM to the old one completes the change without a lost request', async () => {
    await upgraded(async (server, successor) => {
      const load = startLoad(server, '/', { connections: 3 });
      await sleep(300);
      server.signal('SIGTERM');
      expect(await server.exit()).toBe(0);
      await waitFor('the name of the process file', () => read(pidFile(server)) === successor);
      expect(existsSync(`${pidFile(server)}.2`)).toBe(false);
      expect((await load.stop()).failures).toEqual([]);
      expect(await versions(server)).toEqual(new Set(['version 2']));
      expect(existsSync(server.socket)).toBe(true);
      process.kill(successor, 'SIGTERM');
      await waitFor('the end of the successor', () => processInfo(successor) === undefined || processInfo(successor)?.state === 'Z');
      expect(existsSync(pidFile(server))).toBe(false);
      await server.assertClean();
      server.dispose();
    });
  });

  it('TERM to the successor takes it back', async () => {
    await upgraded(async (server, successor) => {
      server.signal('SIGUSR2');
      await server.expectOutput(/NWSGI4323 SIGUSR2 is ignored/);
      process.kill(successor, 'SIGTERM');
      await server.expectOutput(/NWSGI4325 the successor \d+ has ended \(exit code 0\)/);
      expect(existsSync(`${pidFile(server)}.2`)).toBe(false);
      expect(await versions(server)).toEqual(new Set(['version 1']));
      expect(existsSync(server.socket)).toBe(true);
      await server.stop();
    });
  });

  it('a successor that does not load changes nothing', async () => {
    const server = new NwsgiServe({ args: (s) => args(s, '--no-reload') });
    server.writeApp('app.mjs', versioned('1'));
    await server.start();
    appendFileSync(server.script, 'throw new Error("broken on purpose");\n');
    server.signal('SIGUSR2');
    await server.expectOutput(/NWSGI4325 the successor \d+ has ended \(exit code 3\); this process \(\d+\) goes on serving/);
    expect(await versions(server)).toEqual(new Set(['version 1']));
    await server.stop();
  });
});
