/** What the platform offers to Node applications: process, directory, cluster, an orderly end. */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { daemon, describeEachMpm, useServer, waitFor, withServer } from './harness/index.js';
import type { HttpdServer } from './harness/server.js';

/** Answers with what `expression` gives, in a CommonJS program. */
const program = (expression: string, before = ''): string => `
const fs = require('fs');
${before}
require('http').createServer(async (req, res) => {
  try { res.end(JSON.stringify(await (${expression}))); } catch (error) { res.end(JSON.stringify({ error: error.message, code: error.code })); }
}).listen(3000);`;

const ENVIRONMENT = '{ mode: process.env.NODE_ENV, set: process.env.SET_BY_APACHE, own: process.env.OWN, both: process.env.BOTH }';

describe('a Node application', () => {
  const server = useServer({
    directives: (s) => {
      s.writeFile('apps/site/package.json', '{}');
      s.writeFile('apps/site/data/greeting.txt', 'Grüße');
      s.writeFile('apps/site/bin/www', program(`{ cwd: process.cwd(), argv: process.argv.slice(1), main: require.main === module, id: module.id, parent: module.parent, mainModule: process.mainModule === module,
        asynchronous: await fs.promises.readFile('data/greeting.txt', 'utf8'), synchronous: fs.readFileSync('data/greeting.txt', 'utf8'),
        stream: String(await fs.createReadStream('data/greeting.txt').toArray()), child: require('child_process').execSync('pwd').toString().trim(),
        thread: await new Promise((done) => new (require('worker_threads').Worker)("require('worker_threads').parentPort.postMessage([process.cwd(), require('fs').existsSync('data')])", { eval: true }).on('message', done)) }`));
      const mounts: Record<string, string> = {
        env: program(ENVIRONMENT, "process.env.OWN += '!';"),
        cluster: program('{ online, primary: cluster.isPrimary, workers: Object.keys(cluster.workers), dead: worker.isDead(), connected: worker.isConnected(), sent: worker.send("x") }',
          "const cluster = require('cluster'); let online = false; cluster.on('online', () => { online = true; }); const worker = cluster.fork(); cluster.fork();"),
        users: program("['setuid', 'setgid', 'initgroups', 'abort'].map((name) => { try { process[name](0, 0); } catch (error) { return [error.code, error.message]; } })"),
        // As pino does it, which is Fastify's logger.
        descriptors: program(`{ sync: [fs.writeSync(1, 'one, by its number\\n'), fs.writeSync(2, Buffer.from('<two>\\n'), 1, 3), fs.writeSync(2, '\\n'), fs.writevSync(1, [Buffer.from('thr'), Buffer.from('ee\\n')])],
          callback: await new Promise((done) => fs.write(1, 'f\u00fcnf\\n', null, 'utf8', (...told) => done(told))), promise: await util.promisify(fs.write)(1, Buffer.from('six\\n')),
          stream: await new Promise((done) => fs.createWriteStream('', { fd: 1, autoClose: false }).end('seven\\n', () => done('finished'))) }`, "const util = require('util');"),
        raw: "require('http').createServer((req) => req.socket[req.url.slice(1)]('HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi')).listen(80);",
        forks: "const cluster = require('cluster'); if (cluster.isPrimary) cluster.fork(); else require('http').createServer().listen(80);",
      };
      return [
        `WSGIScriptAlias /www ${s.app('site/bin/www')}`,
        ...Object.entries(mounts).map(([name, source]) => `WSGIScriptAlias /${name} ${s.writeApp(`${name}.cjs`, source)}`),
        '<Location /env>', 'SetEnv SET_BY_APACHE Grüße', 'SetEnv BOTH apache', 'WSGIApplicationEnv OWN=mine BOTH=application', '</Location>',
      ];
    },
  });
  const json = async (path: string): Promise<unknown> => (await server.get(path)).json();

  it('runs as the main program, in the folder of its package', async () => {
    const folder = realpathSync(join(server.root, 'apps/site'));
    expect(await json('/www')).toEqual({
      cwd: folder, argv: [join(server.root, 'apps/site/bin/www')], main: true, id: '.', parent: null, mainModule: true,
      asynchronous: 'Grüße', synchronous: 'Grüße', stream: 'Grüße', child: folder, thread: [folder, true],
    });
  });

  it('has its own environment variables, and NODE_ENV', async () => {
    const expected = { mode: 'production', set: 'Grüße', own: 'mine!', both: 'application' };
    expect(await json('/env')).toEqual(expected);
    // The next environment gets them from the first one.
    server.writeApp('env.cjs', program(`{ again: true, ...${ENVIRONMENT} }`, "process.env.OWN += '!';"));
    await waitFor('the new environment', async () => (await server.get('/env')).text.includes('again'));
    expect(await json('/env')).toEqual({ again: true, ...expected });
  });

  it('is the primary of a cluster whose workers stay silent, which one line explains', async () => {
    const since = server.mark();
    expect(await json('/cluster')).toEqual({ online: false, primary: true, workers: ['1', '2'], dead: false, connected: false, sent: false });
    await server.expectLog(/NWSGI2109 cluster\.fork\(\) starts nothing/, { since });
    expect(server.log(since).match(/NWSGI2109/g)).toHaveLength(1);
  });

  it('is told about cluster.fork() when it does not listen because of that', async () => {
    const since = server.mark();
    expect((await server.get('/forks')).status).toBe(500);
    await server.expectLog(/NWSGI2105[^\n]*no server of it listened within \d s; it called cluster\.fork\(\), which starts nothing here/, { since });
  });

  it('prints to the log also by the numbers of the descriptors', async () => {
    expect(await json('/descriptors')).toEqual({
      sync: [19, 3, 1, 6], callback: [null, 6, 'fünf\n'], promise: { bytesWritten: 4, buffer: { type: 'Buffer', data: [115, 105, 120, 10] } }, stream: 'finished',
    });
    await server.expectLog(/ seven\n/);
    const lines = server.log().split('\n');
    const levelOf = (text: string): string | undefined => /\[nwsgi:(\w+)\]/.exec(lines.find((line) => line.endsWith(` ${text}`)) ?? '')?.[1];
    expect(['one, by its number', 'two', 'three', 'six', 'seven'].map(levelOf)).toEqual(['notice', 'error', 'notice', 'notice', 'notice']);
  });

  it.each(['write', 'end'])('that uses %s() of the socket of a request learns what to do', async (method) => {
    const since = server.mark();
    expect((await server.get(`/raw/${method}`)).status).toBe(500);
    await server.expectLog(/NWSGI2111[^\n]*\. Answer with the response object/, { since });
    expect(server.log(since)).not.toMatch(/NWSGI2401|NWSGI3004|NWSGI1212/);
  });

  // A worker's user is nobody's but its own: there the system refuses what Node asks for.
  it.skipIf(daemon)('cannot change the user of the server, and learns why', async () => {
    expect(await json('/users')).toEqual(['setuid', 'setgid', 'initgroups', 'abort'].map((name) => ['ERR_WORKER_UNSUPPORTED_OPERATION', expect.stringMatching(new RegExp(`^NWSGI2110 process\\.${name}\\(\\) is refused: `)) as string]));
  });
});

describeEachMpm('the end of a Node application', (mpm) => {
  /** Replaces the script, so that the old environment ends, and returns the lines that it logged. */
  async function endOf(body: string, during: (s: HttpdServer) => Promise<unknown> = async () => undefined): Promise<string[]> {
    const source = (text: string): string => `const http = require('http'); const say = (line) => console.log('said: ' + line);
      process.on('exit', () => say('exit'));
      const server = http.createServer((req, res) => req.url === '/slow' ? setTimeout(() => { say('answered'); res.end('slow'); }, 400) : res.end('${text}')).on('close', () => say('server closed')).listen(80);
      ${text === 'old' ? body : ''}`;
    return withServer({ mpm, children: 1, directives: (s) => [`WSGIScriptAlias / ${s.writeApp('app.cjs', source('old'))}`] }, async (s) => {
      expect((await s.get('/')).text).toBe('old');
      const busy = during(s);
      s.writeApp('app.cjs', source('new'));
      await waitFor('the new version', async () => (await s.get('/')).text === 'new');
      await s.expectLog(/said: exit/);
      await busy;
      return [...s.log().matchAll(/said: (.*)/g)].map(([, line]) => line as string);
    });
  }

  it('comes after its requests; servers are closed, then "exit" is emitted', async () => {
    const lines = await endOf('', async (s) => expect((await s.get('/slow')).text).toBe('slow'));
    expect(lines).toEqual(['answered', 'server closed', 'exit']);
  });

  it('is told by SIGTERM and by the message of process managers', async () => {
    const lines = await endOf(`process.on('SIGTERM', async (name, number) => { say(name + number); await new Promise((done) => setTimeout(done, 100)); say('cleaned up'); });
      process.on('message', (text) => say(text)); process.on('SIGINT', () => say('SIGINT'));`);
    expect(lines).toEqual(['SIGTERM15', 'shutdown', 'cleaned up', 'server closed', 'exit']);
  });

  it('lets an application end itself when it has cleaned up', async () => {
    const lines = await endOf("process.on('SIGTERM', () => server.close(() => setTimeout(() => { say('cleaned up'); process.exit(0); }, 200)));");
    expect(lines).toEqual(['server closed', 'cleaned up', 'exit']);
  });

  it('does not wait for ever', async () => {
    const lines = await endOf("process.on('SIGTERM', () => { say('told'); setInterval(() => {}, 1000); });");
    expect(lines).toEqual(['told', 'server closed', 'exit']);
  });
});
