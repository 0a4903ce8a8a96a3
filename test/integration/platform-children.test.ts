// What child processes of an application inherit from the server process, and leave alone.
import { expect, it } from 'vitest';
import { daemon, isListening, processInfo, useServer, waitFor, withServer, type HttpdServer } from './harness/index.js';

const options = {
  apps: ['platform/children.cjs', 'identity.mjs'],
  directives: (s: HttpdServer) => [`WSGIScriptAlias /run ${s.app('platform/children.cjs')}`, `WSGIScriptAlias /other ${s.app('identity.mjs')}`],
};
const server = useServer(options);

async function result(s: HttpdServer, way: string): Promise<unknown> {
  const response = await s.get(`/run/${way}`);
  expect(response.status, response.text).toBe(200);
  return (response.json() as { result: unknown }).result;
}

it('a child process gets no socket, log or other descriptor of the server', async () => {
  const descriptors = (await result(server, 'descriptors')) as string[];
  // Pipes may come from whoever runs the tests.
  expect(descriptors.filter((line) => /socket:|anon_inode:/.test(line) || line.includes(server.root))).toEqual([]);
});

it('a child process blocks and ignores no signals because the server does', async () => {
  const status = String(await result(server, 'signals'));
  expect(status).toMatch(/SigBlk:\s*0+$/m);
  // SIGPIPE is ignored by every Node process.
  expect(status).toMatch(/SigIgn:\s*0+1?0{3}$/m);
});

it("a child process has the application's process.env", async () => {
  expect(await result(server, 'environment')).toBe('from the application');
});

it('many child processes at a time are all told apart', async () => {
  expect(await result(server, 'many')).toBe(Array.from({ length: 20 }, (_, i) => i).join());
});

it('a program that is not there is an error of that child', async () => {
  expect(await result(server, 'missing')).toBe('ENOENT');
});

it('a child process that outlives the server keeps no port of it', async () => {
  await withServer(options, async (s) => {
    const pid = Number(await result(s, 'stays'));
    try {
      await s.stop();
      expect(processInfo(pid)?.name).toBe('sleep');
      await waitFor('the port to be free', async () => !(await isListening(s.port)), 2000);
    } finally {
      process.kill(pid);
    }
  });
});

it('what children and threads print is not lost when httpd has detached from its terminal', async () => {
  const source = `
const { spawnSync } = require('child_process');
const { Worker } = require('worker_threads');
require('http').createServer((req, res) => {
  spawnSync('echo', ['printed by a child'], { stdio: 'inherit' });
  new Worker("require('fs').writeSync(1, 'printed by a thread\\\\n')", { eval: true }).on('exit', () => res.end());
}).listen(80);`;
  await withServer({ detached: true, directives: (s) => `WSGIScriptAlias / ${s.writeApp('prints.cjs', source)}` }, async (s) => {
    expect((await s.get('/')).status).toBe(200);
    await s.expectLog(daemon ? / printed by a child\n/ : /^printed by a child\n/m);
    await s.expectLog(daemon ? / printed by a thread\n/ : /^printed by a thread\n/m);
  });
});
