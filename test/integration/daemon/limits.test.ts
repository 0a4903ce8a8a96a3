// Limits of process groups, with real workers under httpd: who reaches one is replaced without loss, or killed with its reason.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sleep, useServer, waitFor } from '../harness/index.js';
import { isAlive } from './supervisor-process.js';

const user = process.getuid?.() === 0 ? 'user=www-data group=www-data ' : '';
const groups: Record<string, string> = {
  requests: 'processes=2 maximum-requests=50',
  age: 'restart-interval=2s',
  processor: 'cpu-time-limit=1s',
  soft: 'memory-soft-limit=150M',
  hard: 'memory-limit=150M shutdown-timeout=1s',
  idle: 'inactivity-timeout=1s',
  timeout: 'request-timeout=500ms interrupt-timeout=500ms shutdown-timeout=1s graceful-timeout=2s',
  deadlock: 'deadlock-timeout=2s',
  scaled: 'min-processes=1 max-processes=3 threads=2',
  crowded: 'threads=2 queue-limit=3',
};

const server = useServer({
  apps: ['daemon-limits.mjs'],
  threads: 32,
  directives: (s) => Object.entries(groups).flatMap(([name, options]) => [
    `WSGIDaemonProcess ${name} ${user}${options}`,
    `WSGIScriptAlias /${name} ${s.app('daemon-limits.mjs')} process-group=${name}`,
  ]),
});

async function pid(path: string): Promise<number> {
  const response = await server.get(path);
  expect(response.status, `${path}: ${response.text}`).toBe(200);
  return Number.parseInt(response.text, 10);
}

async function another(path: string, first: number, milliseconds = 8_000): Promise<number> {
  return waitFor(`another worker than ${first} at ${path}\n${server.log().slice(-2_000)}`, async () => {
    // One that stands still keeps requests until they time out.
    const response = await server.get(path);
    const now = Number.parseInt(response.text, 10);
    return response.status !== 200 || now === first ? undefined : now;
  }, milliseconds, 100);
}

describe('a worker that has reached', () => {
  it('maximum-requests is replaced, and no request is lost meanwhile', async () => {
    const since = server.mark();
    const seen = new Set<number>();
    for (let round = 0; round < 30; round++) {
      for (const one of await Promise.all(Array.from({ length: 10 }, () => pid('/requests/pid')))) seen.add(one);
      await sleep(100);
    }
    expect(seen.size).toBeGreaterThan(3);
    await server.expectLog(/NWSGI4213 .*maximum-requests: it has begun \d+ requests/, { since });
  });

  it('restart-interval is replaced', async () => {
    const first = await pid('/age/pid');
    await another('/age/pid', first);
    await server.expectLog(/NWSGI4213 .*restart-interval/);
    await waitFor('its end', () => !isAlive(first));
  });

  it('cpu-time-limit is replaced', async () => {
    const first = await pid('/processor/pid');
    await pid('/processor/pid?busy=1200');
    await another('/processor/pid', first);
    await server.expectLog(/NWSGI4213 .*cpu-time-limit/);
  });

  it('memory-soft-limit is replaced, and finishes its requests', async () => {
    const first = await pid('/soft/pid');
    const slow = pid('/soft/pid?memory=150&slow=3000');
    await sleep(300);
    await another('/soft/pid', first);
    expect(await slow).toBe(first);
    await waitFor('its end', () => !isAlive(first));
    await server.expectLog(/NWSGI4213 .*memory-soft-limit: it uses \d+ MiB, more than 150 MiB/);
  });

  it('memory-limit is killed: 502 with the reason, and a fresh one serves', async () => {
    const first = await pid('/hard/pid');
    const response = await server.get('/hard/pid?memory=200&slow=8000');
    expect(response.status).toBe(502);
    await server.expectLog(/NWSGI4211 .*used more memory than memory-limit allows \(\d+ MiB of 150 MiB\)/);
    expect(await another('/hard/pid', first)).not.toBe(first);
  });

  it('inactivity-timeout ends; the next request starts one', async () => {
    const first = await pid('/idle/pid');
    await waitFor('its end', () => !isAlive(first));
    await server.expectLog(/NWSGI4222/);
    expect(await pid('/idle/pid')).not.toBe(first);
  });
});

describe('an event loop that stands still', () => {
  it('after a request timed out is interrupted, its stack is logged, the worker replaced', async () => {
    const first = await pid('/timeout/pid');
    const since = server.mark();
    const begin = performance.now();
    expect((await server.get('/timeout/pid?loop=1')).status).toBe(504);
    expect(performance.now() - begin).toBeLessThan(3_000);
    await another('/timeout/pid', first);
    expect(performance.now() - begin).toBeLessThan(6_000);
    await server.expectLog(/NWSGI4214 .*request-timeout/, { since });
    await server.expectLog(/loopsForever/, { since });
    await waitFor('its end', () => !isAlive(first));
  });

  it('in native code is killed: 504', async () => {
    const first = await pid('/timeout/pid');
    const since = server.mark();
    expect((await server.get('/timeout/pid?compute=1000000000')).status).toBe(504);
    await waitFor('its end', () => !isAlive(first), 10_000);
    await server.expectLog(/NWSGI4209 .*was killed: .*stood still for \d/, { since });
    expect(await pid('/timeout/pid')).not.toBe(first);
  });

  it('without a time-out is interrupted after deadlock-timeout, says where it was, and is replaced', async () => {
    const first = await pid('/deadlock/pid');
    const since = server.mark();
    expect((await server.get('/deadlock/pid?wait=30000')).status).toBe(503);
    await server.expectLog(/NWSGI4214 .*deadlock-timeout/, { since });
    await server.expectLog(/\bwaits\b/, { since });
    await another('/deadlock/pid', first);
  });

  it('without a time-out in native code is killed: 504', async () => {
    const first = await pid('/deadlock/pid');
    const since = server.mark();
    expect((await server.get('/deadlock/pid?compute=1000000000')).status).toBe(504);
    await server.expectLog(/NWSGI4210 .*was killed: its event loop stood still for \d/, { since });
    expect(await pid('/deadlock/pid')).not.toBe(first);
  });
});

describe('a supervisor', () => {
  it('needs little memory of its own', () => {
    const supervisors = server.supervisors();
    expect(supervisors.length).toBe(Object.keys(groups).length);
    const dirty = supervisors.map((pid) => Number(/^Private_Dirty:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]) / 1024);
    for (const mebibytes of dirty) expect(mebibytes).toBeLessThan(20);
  });
});

describe('the number of workers', () => {
  it('follows the load, up to max-processes', async () => {
    await pid('/scaled/pid');
    const load = Array.from({ length: 8 }, async () => {
      const seen = new Set<number>();
      for (const end = Date.now() + 8_000; Date.now() < end; ) seen.add(await pid('/scaled/pid?slow=200'));
      return seen;
    });
    const seen = new Set((await Promise.all(load)).flatMap((pids) => [...pids]));
    expect(seen.size).toBe(3);
    await server.expectLog(/NWSGI4218 .*1 → 2 workers \(\d+ requests wait\)/);
  });

  it('being too small, a full queue answers 503 with Retry-After at once', async () => {
    await pid('/crowded/pid');
    const begin = performance.now();
    const responses = await Promise.all(Array.from({ length: 12 }, async () => ({ ...(await server.get('/crowded/pid?slow=1500')), after: performance.now() - begin })));
    const refused = responses.filter(({ status }) => status === 503);
    expect(refused.length).toBe(12 - 2 - 3);
    for (const { headers, after } of refused) {
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect(after).toBeLessThan(1_000);
    }
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(5);
  });
});
