// Node 18, 20, 22, 24 and 26 as node= of process groups in one Apache, beside the embedded one.
// NWSGI_TEST_NODES has the binaries (npm run test:soak, npm run test:soak -- nodes).
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useServer, waitFor } from '../harness/index.js';
import { addWs, WebSocketClient } from '../support/websocket.js';

const nodes = process.env.NWSGI_TEST_NODES;
const majors = [18, 20, 22, 24, 26];
const user = process.getuid?.() === 0 ? ' user=www-data group=www-data' : '';

const wsgi = `export async function application(environ, startResponse) {
  const body = environ.REQUEST_METHOD === 'POST' ? await environ['wsgi.input'].read() : '';
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return [process.version, ' ', environ['mod_wsgi.process_group'] ?? '', ' ', body];
}
`;
const typescript = `enum Colour { Red = 'red' }
interface Answer { version: string; colour: Colour }
const answer: Answer = { version: process.version, colour: Colour.Red };
export default { fetch: async (request: Request): Promise<Response> => Response.json({ ...answer, sent: await request.text() }) };
`;
const server_ = `const http = require('http');
const { WebSocketServer } = require('ws');
const server = http.createServer((request, response) => {
  if (request.url.endsWith('/exit')) process.exit(3);
  response.setHeader('Content-Type', 'text/plain');
  response.write(process.version);
  setTimeout(() => response.end(' streamed'), 20);
}).listen(3000);
new WebSocketServer({ server }).on('connection', (socket) => socket.on('message', (data) => socket.send(process.version + ' ' + data)));
`;

describe.skipIf(nodes === undefined)('five versions of Node in one Apache', () => {
  const server = useServer(
    {
      threads: 24,
      directives: (s) => [
        ...majors.map((major) => `WSGIDaemonProcess node${major} node=${join(nodes ?? '', String(major), 'node_modules/node/bin/node')}${user}`),
        ...[...majors.map(String), 'embedded'].flatMap((name) => {
          const group = name === 'embedded' ? '%{GLOBAL}' : `node${name}`;
          return [
            `WSGIScriptAlias /wsgi/${name} ${s.app('wsgi.mjs')} process-group=${group}`,
            `WSGIScriptAlias /fetch/${name} ${s.app('fetch.ts')} process-group=${group}`,
            `WSGIScriptAlias /server/${name} ${s.app('server.cjs')} process-group=${group}`,
          ];
        }),
      ],
    },
    (s) => {
      addWs(s);
      s.writeApp('wsgi.mjs', wsgi);
      s.writeApp('fetch.ts', typescript);
      s.writeApp('server.cjs', server_);
    },
  );

  it.each(majors)('Node %i runs each kind of application', async (major) => {
    const version = new RegExp(`^v${major}\\.`);
    expect((await server.post(`/wsgi/${major}`, 'sent')).text).toMatch(new RegExp(`^v${major}\\.\\S+ \\S* sent$`));
    const fetched = (await server.post(`/fetch/${major}`, 'fünf')).json() as { version: string };
    expect(fetched).toMatchObject({ colour: 'red', sent: 'fünf' });
    expect(fetched.version).toMatch(version);
    expect((await server.get(`/server/${major}`)).text).toMatch(new RegExp(`^v${major}\\.\\S+ streamed$`));
    const socket = await WebSocketClient.open(server.url(`/server/${major}`).replace('http', 'ws'));
    expect(await socket.ask('hello')).toMatch(new RegExp(`^v${major}\\.\\S+ hello$`));
    await socket.close();
  });

  it.each(majors)('Node %i: a worker that ends is replaced, and a changed script is loaded', async (major) => {
    expect((await server.get(`/server/${major}/exit`)).status).toBe(500);
    await waitFor('the next worker', async () => (await server.get(`/server/${major}`)).status === 200);
  });

  it('all of them answer at once, the embedded one too', async () => {
    server.writeApp('wsgi.mjs', wsgi.replace("' ', environ", "' changed ', environ"));
    const names = [...majors.map(String), 'embedded'];
    await waitFor('the changed script', async () => {
      const texts = await Promise.all(names.map(async (name) => (await server.get(`/wsgi/${name}`)).text));
      texts.forEach((text, i) => i < majors.length && expect(text).toMatch(new RegExp(`^v${majors[i]}\\.`)));
      return texts.every((text) => text.includes('changed'));
    }, 20_000);
  });
});
