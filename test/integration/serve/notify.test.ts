// What systemd is told, by a socket of the kind that it listens on.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { NwsgiServe, sleep, waitFor } from '../harness/index.js';

const receiver = join(dirname(fileURLToPath(import.meta.url)), '../support/datagrams.pl');
const receivers: ChildProcess[] = [];

/** Listens; the messages as they come, `|` for line ends. */
async function listen(address: string): Promise<string[]> {
  const child = spawn('perl', [receiver, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  receivers.push(child);
  const messages: string[] = [];
  let rest = '';
  child.stdout.on('data', (text: Buffer) => {
    const lines = (rest + text.toString()).split('\n');
    rest = lines.pop() ?? '';
    messages.push(...lines);
  });
  await waitFor('the receiver', () => messages.shift());
  return messages;
}

afterEach(() => {
  for (const child of receivers.splice(0)) child.kill('SIGKILL');
});

const ok = 'export const application = (environ, start) => (start("200 OK", []), [process.env.NOTIFY_SOCKET ?? "no socket"]);\n';

function served(address: (s: NwsgiServe) => string, env: Record<string, string> = {}): NwsgiServe {
  const variables: Record<string, string> = {};
  const server = new NwsgiServe({ env: variables, args: (s) => [`--http=127.0.0.1:${s.port}`, '--no-reload', '--processes=2'] });
  Object.assign(variables, env, { NOTIFY_SOCKET: address(server) });
  server.writeApp('app.mjs', ok);
  return server;
}

describe('notifications', () => {
  it('of start, reloads, a failed reload, and the stop', async () => {
    const server = served((s) => join(s.root, 'run', 'notify'));
    const messages = await listen(join(server.root, 'run', 'notify'));
    await server.start();
    const until = (pattern: RegExp): Promise<string> => waitFor(`${pattern} among ${messages.join(' ; ')}`, () => messages.find((one) => pattern.test(one)));
    expect(await until(/^READY=1/)).toMatch(/^READY=1\|STATUS=[12] workers? serving.* at http:\/\/127\.0\.0\.1:\d+\/$/);
    // Applications do not speak for the service.
    expect((await server.get('/')).text).toBe('no socket');
    await until(/^STATUS=2 workers serving at/);

    messages.length = 0;
    server.signal('SIGHUP');
    expect(Number(/USEC=(\d+)/.exec(await until(/^RELOADING=1\|MONOTONIC_USEC=\d+\|/))?.[1]) / 1e6).toBeCloseTo(Number(process.hrtime.bigint()) / 1e9, -1);
    await until(/^READY=1\|STATUS=2 workers serving/);

    messages.length = 0;
    server.writeApp('app.mjs', 'throw new Error("broken on purpose");\n');
    server.signal('SIGHUP');
    await until(/^READY=1\|STATUS=The reload failed, the workers from before it serve: .*/);

    messages.length = 0;
    server.signal('SIGTERM');
    await until(/^STOPPING=1\|STATUS=Stopping$/);
    expect(await server.exit()).toBe(0);
    await server.assertClean();
    server.dispose();
  });

  it('go to abstract addresses, too, and a watchdog hears of the server', async () => {
    const address = `@nwsgi-test-${process.pid}`;
    const messages = await listen(address);
    const server = await served(() => address, { WATCHDOG_USEC: '400000' }).start();
    await sleep(1100);
    expect(messages.filter((one) => one === 'WATCHDOG=1').length).toBeGreaterThanOrEqual(4);
    await server.stop();
    expect(messages.at(-1)).toBe('STOPPING=1|STATUS=Stopping');
  });

  it('say why the application does not load', async () => {
    const server = served((s) => join(s.root, 'run', 'notify'));
    const messages = await listen(join(server.root, 'run', 'notify'));
    server.writeApp('app.mjs', 'throw new Error("broken on purpose");\n');
    await server.spawn();
    expect(await server.exit()).toBe(3);
    await waitFor('a status', () => messages.some((one) => /^STATUS=The application does not load: NWSGI\d+ .*app\.mjs$/.test(one)));
    expect(messages.at(-1)).toBe('STOPPING=1');
    expect(messages.join()).not.toContain('READY');
    server.dispose();
  });

  it('hand the service over to a successor', async () => {
    const server = served((s) => join(s.root, 'run', 'notify'));
    const messages = await listen(join(server.root, 'run', 'notify'));
    await server.start();
    server.signal('SIGUSR2');
    const successor = Number((await server.expectOutput(/NWSGI4324 process (\d+) serves beside/))[1]);
    messages.length = 0;
    server.signal('SIGTERM');
    expect(await server.exit()).toBe(0);
    await waitFor('the hand-over', () => messages.filter((one) => one === `MAINPID=${successor}`).length === 2);
    expect(messages.join()).not.toContain('STOPPING');
    process.kill(successor, 'SIGTERM');
    await waitFor('the stop of the successor', () => messages.some((one) => one.startsWith('STOPPING=1')));
    await waitFor('its end', () => !existsSync(`/proc/${successor}`), 15_000);
    await server.assertClean();
    server.dispose();
  });

  it('that nobody takes are no reason not to serve', async () => {
    const server = await served(() => '/run/nowhere/notify').start();
    await waitFor('the warning', () => server.output().includes('NWSGI4320 /run/nowhere/notify does not take notifications: ENOENT'));
    expect((await server.get('/')).status).toBe(200);
    await server.stop();
  });
});
