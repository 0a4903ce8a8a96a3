/** Reloads of a group's workers under load: by a changed script and by graceful restarts in turn. */
import { expect } from 'vitest';
import { open, openDescriptors, residentBytes, sanitized, waitFor, withServer, type HttpdServer } from '../harness/index.js';
import { SteadyLoad } from '../harness/steady-load.js';

/** Answers with version, process and a long text; /slow takes its time in the middle of it. */
const source = (version: number): string => `
const text = '.'.repeat(20_000);
async function* slowly(head) {
  yield head;
  await new Promise((resolve) => setTimeout(resolve, 300));
  yield text;
}
export async function application(environ, startResponse) {
  if (environ.REQUEST_METHOD === 'POST') await environ['wsgi.input'].read();
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  const head = 'version ${version} of process ' + process.pid + '\\n';
  return environ.PATH_INFO === '/slow' ? slowly(head) : [head, text];
}
`;

const pattern = /^version (\d+) of process (\d+)\n\.{20000}$/;

/** Slow answers, one after another on connections of their own, until stopped; each of them has to be complete. */
function slowLoad(s: HttpdServer): () => Promise<string[]> {
  const wrong: string[] = [];
  let stopping = false;
  const client = async () => {
    while (!stopping) {
      const { status, text, complete } = await s.get('/slow').catch((error: Error) => ({ status: 0, text: error.message, complete: false }));
      if (status !== 200 || !complete || !pattern.test(text)) wrong.push(`${status} ${complete} ${text.slice(0, 100)}`);
    }
  };
  const clients = [client(), client()];
  return async () => {
    stopping = true;
    await Promise.all(clients);
    return wrong;
  };
}

/** An upload whose beginning the old worker gets and whose end comes after the reload. */
async function heldUpload(s: HttpdServer): Promise<() => Promise<void>> {
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  async function* body() {
    yield 'begin';
    await released;
    yield 'end';
  }
  const answer = open(s.url('/upload'), { method: 'POST', body: body(), timeout: 60_000 });
  answer.catch(() => {});
  return async () => {
    release();
    const { response } = await answer;
    expect(response.statusCode).toBe(200);
    response.resume();
  };
}

export async function reloadUnderLoad(reloads: number): Promise<void> {
  const user = process.getuid?.() === 0 ? ' user=www-data group=www-data' : '';
  await withServer(
    {
      children: 2,
      threads: 16,
      room: 2,
      logLevel: 'notice nwsgi:info',
      directives: (s) => [
        `WSGIDaemonProcess rolling processes=2${user}`,
        `WSGIScriptAlias / ${s.writeApp('rolling.mjs', source(0))} process-group=rolling application-group=rolling`,
      ],
    },
    async (s) => {
      const served = async () => pattern.exec((await s.get('/')).text)?.slice(1).map(Number) as [number, number];
      await served();
      const load = new SteadyLoad(s.url('/'), { kept: 3, fresh: 2, pause: 5, check: (body) => (pattern.test(body) ? undefined : body.slice(0, 200)) });
      const stopSlow = slowLoad(s);
      let warm = { resident: 0, descriptors: 0 };
      let version = 0;
      for (let i = 1; i <= reloads; i++) {
        const old = new Set(s.workers());
        const finish = i % 10 === 0 ? await heldUpload(s) : undefined;
        if (i % 2 === 1) s.writeApp('rolling.mjs', source(++version));
        else await s.graceful();
        await waitFor(`reload ${i}`, async () => {
          const [seen, pid] = await served();
          return seen === version && !old.has(pid);
        }, 30_000, 10);
        await finish?.();
        if (i === Math.min(20, Math.ceil(reloads / 4))) warm = { resident: residentBytes(s.pid), descriptors: openDescriptors(s.pid) };
      }
      const { requests, repeated, lost, slowest } = await load.stop();
      const grown = residentBytes(s.pid) - warm.resident;
      console.log(`${reloads} reloads, ${requests} requests, ${lost.length} lost, ${repeated} repeated, slowest ${slowest.toFixed(0)} ms, parent grown by ${(grown / 1024).toFixed(0)} KiB`);
      expect(lost).toEqual([]);
      expect(await stopSlow()).toEqual([]);
      expect(requests).toBeGreaterThan(reloads * 4);
      expect(openDescriptors(s.pid)).toBeLessThanOrEqual(warm.descriptors + 2);
      if (!sanitized) expect(grown).toBeLessThan(2 * 1024 * 1024);
      await waitFor('the old workers to leave', () => s.workers().length === 2, 20_000);
    },
  );
}
