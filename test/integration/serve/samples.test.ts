// What docs/serve.md and systemd/ show works as it is, but for paths and ports.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FrontServer, hasCaddy, hasNginx, HttpdServer, NwsgiServe, open, projectRoot, sleep, waitFor, withServer } from '../harness/index.js';

const guide = readFileSync(join(projectRoot, 'docs', 'serve.md'), 'utf8');
const activate = join(dirname(fileURLToPath(import.meta.url)), '../support/activate.pl');

/** The samples of a language, in order. */
const samples = (language: string): string[] => [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text as string);

const app = `
export default {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === '/events') {
      let sent = 0;
      const body = new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          controller.enqueue(new TextEncoder().encode('data: ' + sent++ + '\\n\\n'));
          if (sent === Number(url.searchParams.get('n') ?? 3)) controller.close();
        },
      });
      return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' } });
    }
    if (url.pathname === '/half') {
      const body = new ReadableStream({
        async start(controller) {
          controller.enqueue(new Uint8Array(100_000));
          await new Promise((resolve) => setTimeout(resolve, 20_000));
          controller.close();
        },
      });
      return new Response(body);
    }
    const content = await request.arrayBuffer();
    return Response.json({ path: url.pathname, host: request.headers.get('host'), bytes: content.byteLength, big: request.headers.get('x-big')?.length ?? 0 }, { headers: { 'X-Long': 'y'.repeat(6000) } });
  },
};
`;

const server = new NwsgiServe({ script: 'app.mjs', args: (s) => [`--fastcgi=unix:${s.socket}`, `--http=unix:${s.root}/run/http.sock`, '--no-reload'] });

beforeAll(async () => {
  server.writeApp('app.mjs', app);
  await server.start();
});
afterAll(() => server.stop());

const adapt = (text: string): string => text.replaceAll('/run/shop/app.sock', server.socket).replaceAll('/run/shop/http.sock', `${server.root}/run/http.sock`);

describe.skipIf(!hasNginx).each([['FastCGI', 0], ['HTTP', 1]] as const)('NGINX by %s', (_, index) => {
  let nginx: FrontServer;
  beforeAll(async () => {
    const text = adapt(samples('nginx')[index] as string);
    nginx = await new FrontServer('nginx', ({ port }) => text.replace('listen 80;', `listen 127.0.0.1:${port};\n client_max_body_size 0;`)).start();
  });
  afterAll(() => nginx.stop());

  it('serves', async () => {
    const { status, text, headers } = await nginx.get('/a/b?c', { Host: 'shop.example' });
    expect([status, JSON.parse(text)]).toEqual([200, { path: '/a/b', host: 'shop.example', bytes: 0, big: 0 }]);
    expect(headers['x-long']).toHaveLength(6000);
    expect((await nginx.request('/', { method: 'POST', body: Buffer.alloc(5_000_000) })).json()).toMatchObject({ bytes: 5_000_000 });
  });

  it('passes events on as they come', async () => {
    const began = performance.now();
    const { response } = await open(nginx.url('/events'));
    const times: number[] = [];
    for await (const _part of response) times.push(performance.now() - began);
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect((times.at(-1) as number) - (times[0] as number)).toBeGreaterThan(400);
  });

  it('shows that a response is incomplete when its worker was killed', async () => {
    const answer = nginx.get('/half');
    await sleep(500);
    for (const pid of server.workers()) process.kill(pid, 'SIGKILL');
    const response = await answer.catch((error: Error) => error);
    if (!(response instanceof Error)) expect([response.complete, response.status]).not.toEqual([true, 200]);
    await waitFor('another worker', async () => (await nginx.get('/')).status === 200);
  });
});

describe('Apache without mod_nwsgi', () => {
  it('serves', async () => {
    const [text = ''] = samples('apache');
    await withServer({ nwsgi: false, modules: ['proxy', 'proxy_fcgi'], directives: adapt(text).replace(/^#.*\n/gm, '') }, async (httpd: HttpdServer) => {
      expect((await httpd.get('/a/b?c', { Host: 'shop.example' })).json()).toEqual({ path: '/a/b', host: 'shop.example', bytes: 0, big: 0 });
    });
  });

  it('serves below a prefix', async () => {
    const mounted = new NwsgiServe({ apps: ['show-environ.mjs'], args: (s) => [`--fastcgi=unix:${s.socket}`, '--mount=/shop'] });
    await mounted.start();
    const [, line = ''] = /`(ProxyPass "\/shop"[^`]*)`/.exec(guide) ?? [];
    const directives = ['ProxyFCGIBackendType GENERIC', line.replace('/run/shop/app.sock', mounted.socket)];
    await withServer({ nwsgi: false, modules: ['proxy', 'proxy_fcgi'], directives }, async (httpd: HttpdServer) => {
      expect((await httpd.get('/shop/a%20b')).json()).toMatchObject({ SCRIPT_NAME: '/shop', PATH_INFO: '/a b', REQUEST_URI: '/shop/a%20b' });
    });
    await mounted.stop();
  });
});

describe.skipIf(!hasCaddy)('Caddy', () => {
  it('serves', async () => {
    const [text = ''] = samples('caddy');
    const caddy = new FrontServer('caddy', ({ port }) => adapt(text).replace('http://shop.example', `http://127.0.0.1:${port}`));
    await caddy.start();
    expect((await caddy.get('/a/b?c')).json()).toMatchObject({ path: '/a/b', bytes: 0 });
    await caddy.stop();
  });
});

describe('the units for systemd', () => {
  const read = (name: string): Map<string, string> => {
    const lines = readFileSync(join(projectRoot, 'systemd', name), 'utf8').split('\n');
    return new Map(lines.filter((line) => /^\w+=/.test(line)).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  };

  it('start the command as it is written', async () => {
    const service = read('shop.service');
    const socket = read('shop.socket');
    const [program = '', ...words] = (service.get('ExecStart') ?? '').split(' ');
    expect(program).toMatch(/node_modules\/\.bin\/nwsgi$/);
    expect(words.slice(0, 2)).toEqual(['serve', 'app.ts']);
    const started = new NwsgiServe({ apps: ['identity.mjs'], args: () => words.slice(2), launcher: (s) => ['perl', activate, `unix:${s.socket}`, '--'], env: { LISTEN_FDNAMES: socket.get('FileDescriptorName') ?? '' } });
    await started.start();
    expect(started.output()).toContain(`fastcgi unix:${started.socket}\n`);
    await waitFor('4 workers', () => started.workers().length === 4);
    // ExecReload=/bin/kill -HUP $MAINPID
    const [, name = ''] = /kill -(\w+) \$MAINPID/.exec(service.get('ExecReload') ?? '') ?? [];
    const old = started.workers();
    started.signal(`SIG${name}` as NodeJS.Signals);
    await waitFor('new workers', () => started.workers().length === 4 && !started.workers().some((pid) => old.includes(pid)), 20_000);
    started.signal('SIGTERM');
    expect(await started.exit()).toBe(0);
    spawnSync('rm', ['-f', started.socket]);
    await started.assertClean();
    started.dispose();
  });

  const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
  it.skipIf(!analyze)('are understood by systemd', () => {
    const { stderr } = spawnSync('systemd-analyze', ['verify', join(projectRoot, 'systemd', 'shop.service')], { encoding: 'utf8' });
    // The program is not there, which is all that may be wrong.
    expect(stderr.split('\n').filter((line) => line !== '' && !/is not executable|Command .* not found|shop\.service: Failed/.test(line))).toEqual([]);
  });
});

describe('the command line of the guide', () => {
  it('has options that there are', async () => {
    const { runProgram } = (await import(join(projectRoot, 'dist/cli/program.js'))) as { runProgram(argv: string[], version: string, commands: { serve(script: string): Promise<number> }): Promise<number> };
    const readme = readFileSync(join(projectRoot, 'README.md'), 'utf8');
    const lines = [...`${guide}\n${readme}`.matchAll(/^npx nwsgi (serve .*?)(?: +#.*)?$/gm)].map(([, line]) => line as string);
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) expect(await runProgram(line.split(' '), '0', { serve: (script) => Promise.resolve(/\.(ts|py)$/.test(script) ? 0 : 1) }), line).toBe(0);
  });
});
