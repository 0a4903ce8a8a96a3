/** Begin and end of a worker process, under every Node that is named; the supervisor is the test. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGateway, nodes, root } from './helpers/gateway.js';
import { startWorker } from './helpers/worker.js';
import type { TestWorker, WorkerOptions } from './helpers/worker.js';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nwsgi-worker-')));
const workers: TestWorker[] = [];
let gateway = '';

/** A worker for an application of this text. */
async function serve(name: string, source: string, options: Partial<WorkerOptions> = {}): Promise<TestWorker> {
  const path = join(folder, name);
  writeFileSync(path, source);
  const worker = await startWorker({ gateway, script: { path }, ...options });
  workers.push(worker);
  return worker;
}

const text = async (worker: TestWorker, path = '/'): Promise<string> => (await fetch(worker.url + path)).text();

beforeAll(() => {
  gateway = compileGateway('gateway-worker-life');
}, 60_000);
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.end()));
  rmSync(folder, { recursive: true });
});

const FACTS = `
const { execFileSync } = require('node:child_process');
module.exports = (req, res) => {
  const child = JSON.parse(execFileSync(process.execPath, ['-e', 'console.log(JSON.stringify([process.send, process.env.NODE_CHANNEL_FD, require("fs").readdirSync("/proc/self/fd").length < 25]))']));
  res.end(JSON.stringify({
    ipc: [typeof process.send, typeof process.channel, typeof process.connected, typeof process.disconnect, process.env.NODE_CHANNEL_FD ?? null, Object.keys(process).filter((key) => /send|channel|connected|disconnect/i.test(key))],
    child, cwd: process.cwd(), title: process.title, environment: process.env.OWN ?? null, script: process.argv[1],
  }));
};`;

describe.each(nodes)('a worker of %s', { timeout: 30_000 }, (node) => {
  it('runs the application in its folder, and hides the channel to the supervisor', async () => {
    const worker = await serve('facts.cjs', FACTS, { node, env: { OWN: 'real' } });
    const facts = JSON.parse(await text(worker)) as Record<string, unknown>;
    expect(facts.ipc).toEqual(['undefined', 'undefined', 'undefined', 'undefined', null, []]);
    expect(facts).toMatchObject({ child: [null, null, true], cwd: folder, environment: 'real', script: join(folder, 'facts.cjs') });
    expect(worker.messages.map(({ type }) => type)).toEqual(['started', 'watch', 'ready']);
  });

  it('finishes its requests in a drain, then calls the listeners for SIGTERM and "exit"', async () => {
    const worker = await serve('slow.cjs', `
      process.on('SIGTERM', () => new Promise((done) => setTimeout(() => { console.log('told'); done(); }, 20)));
      process.on('exit', (code) => console.log('exit', code));
      module.exports = (req, res) => { res.write('begin '); setTimeout(() => res.end('end'), 300); };`, { node });
    const answer = text(worker);
    await new Promise((resolve) => setTimeout(resolve, 100));
    worker.send({ type: 'drain', milliseconds: 5000, reason: 'test' });
    expect(await answer).toBe('begin end');
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.log).toMatch(/\[nwsgi:notice\] \[pid \d+\] told\n.* exit 0\n/s);
    expect(worker.messages.map(({ type }) => type)).toContain('draining');
    expect(worker.messages.map(({ type }) => type)).not.toContain('exiting');
  });

  it('takes SIGTERM for a drain, and no notice of other signals of terminals', async () => {
    const worker = await serve('signals.cjs', `
      process.on('SIGINT', () => console.log('bad'));
      process.on('SIGUSR2', () => console.log('usr2'));
      module.exports = (req, res) => res.end('here');`, { node });
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const) worker.child.kill(signal);
    await worker.until(() => (worker.log.includes('usr2') ? true : undefined));
    expect(await text(worker)).toBe('here');
    worker.child.kill('SIGTERM');
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.log).not.toContain('bad');
  });

  it('finishes and ends when the supervisor is gone', async () => {
    const worker = await serve('orphan.cjs', `module.exports = (req, res) => setTimeout(() => res.end('still'), 200);`, { node });
    const answer = text(worker);
    await new Promise((resolve) => setTimeout(resolve, 50));
    worker.child.disconnect();
    expect(await answer).toBe('still');
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(worker.log).toContain('NWSGI4251');
  });

  it('ends at the deadline of a drain although requests are left, and at once at a quick end', async () => {
    const source = `module.exports = (req, res) => { if (req.url === '/head') res.write('x'); };`;
    const late = await serve('never.cjs', source, { node, config: { shutdownTimeout: 200 } });
    const [open, silent] = [fetch(`${late.url}/head`), fetch(late.url)];
    silent.catch(() => undefined);
    await open;
    late.send({ type: 'drain', milliseconds: 200, reason: 'test' });
    await expect((await open).text()).rejects.toThrow();
    // As a server of Node closes them.
    await expect(silent).rejects.toThrow();
    expect(await late.exited).toEqual({ code: 0, signal: null });
    expect(late.log).toContain('NWSGI2403');

    const quick = await serve('never.cjs', source, { node, config: { shutdownTimeout: 5000 } });
    const answer = fetch(quick.url);
    await new Promise((resolve) => setTimeout(resolve, 100));
    quick.send({ type: 'drain', milliseconds: 20_000, reason: 'test' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    quick.send({ type: 'drain', milliseconds: 0, reason: 'test' });
    const since = Date.now();
    expect((await answer).status).toBe(503);
    expect(await quick.exited).toEqual({ code: 0, signal: null });
    expect(Date.now() - since).toBeLessThan(3000);
  });

  it('says why it ends by itself, before its requests are answered and it is gone', async () => {
    const worker = await serve('exits.cjs', `
      process.on('exit', (code) => console.log('exit', code));
      module.exports = (req, res) => { if (req.url === '/exit') process.exit(7); };`, { node });
    const waiting = fetch(worker.url);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const culprit = fetch(`${worker.url}/exit`);
    expect([(await waiting).status, (await culprit).status]).toEqual([500, 500]);
    expect(await worker.exited).toEqual({ code: 7, signal: null });
    expect(worker.messages.find(({ type }) => type === 'exiting')).toMatchObject({ code: 'NWSGI3004', status: 500, exitCode: 7 });
    expect(worker.log).toMatch(/exit 7\n/);
  });

  it('ends with an exception that nobody catches, and shows it to developers', async () => {
    const source = `module.exports = (req, res) => { if (req.url === '/throw') setTimeout(() => { throw new Error('uncaught here'); }); };`;
    const path = join(folder, 'throws.cjs');
    const worker = await serve('throws.cjs', source, { node, script: { path, errorPage: 'development' } });
    const waiting = fetch(worker.url);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const thrown = await fetch(`${worker.url}/throw`);
    expect(thrown.status).toBe(500);
    expect(await thrown.text()).toContain('uncaught here');
    expect((await waiting).status).toBe(500);
    expect(await worker.exited).toEqual({ code: 1, signal: null });
    expect(worker.log).toContain('NWSGI2401');
  });

  it('tells of a script that does not load, and does not accept connections', async () => {
    const worker = await serve('broken.cjs', 'throw new Error("at load");', { node });
    expect(worker.messages.map(({ type }) => type)).toEqual(['started', 'watch', 'loadFailed', 'ready']);
    expect((await worker.message('ready')).failure).toContain('NWSGI2003');
    await worker.until(() => (worker.log.includes('at load') ? true : undefined));
  });
});

it('a worker without its addon says so and ends with 78', async () => {
  const started = startWorker({ gateway, bridge: join(root, 'no-such.node') });
  await expect(started).rejects.toThrow(/NWSGI4250/);
});
