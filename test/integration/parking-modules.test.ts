// Other modules of httpd do to a parked request's answer what they do to any.
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { head, sleep, useServer, type RawClient, type RawResponse } from './harness/index.js';
import { eachForm, forms, parkingForms, parkingServer, type Form } from './support/parking.js';

const page = 'a large page of an error. '.repeat(8000);

const server = useServer(
  parkingServer({
    // The event MPM closes idle connections when all threads are busy: some wait for bodies and heads in place, below.
    threads: 16,
    modules: ['deflate', 'filter', 'rewrite', 'include', 'mime', 'dir', 'ratelimit', 'reqtimeout', 'status'],
    inside: ['Options +Includes'],
    vhosts: [{ directives: ['RewriteEngine On', 'RewriteRule ^/short/(wait|park|auto)/(\\d+)$ /$1?wait=30&size=$2 [PT]'] }],
    directives: (s) => [
      'KeepAliveTimeout 3',
      'SendBufferSize 65536',
      'ErrorDocument 404 /large-error.html',
      'TypesConfig /dev/null',
      ...forms.flatMap((form) => [
        `<Location "/${form}/deflated">`,
        'SetOutputFilter DEFLATE',
        '</Location>',
        `<Location "/${form}/limited">`,
        'SetOutputFilter RATE_LIMIT',
        'SetEnv rate-limit 100',
        '</Location>',
        `<Location "/${form}/headed">`,
        'Header set X-Added "%D"',
        'Header edit X-Added "^D=[0-9]+" "some"',
        'Header always set X-Always "also %{REQUEST_STATUS}e"',
        'RequestHeader set X-For-Application yes',
        '</Location>',
        `<Location "/${form}/included">`,
        'SetOutputFilter INCLUDES',
        '</Location>',
      ]),
      `<Directory "${s.root}/htdocs">`,
      'Options +Includes',
      'AddType text/html .shtml',
      'AddOutputFilter INCLUDES .shtml',
      '</Directory>',
      'RequestReadTimeout header=2-3,MinRate=500 body=1,MinRate=500',
      '<Location "/server-status">',
      'SetHandler server-status',
      '</Location>',
    ],
  }),
  (s) => {
    s.writeFile('htdocs/large-error.html', page);
    for (const form of forms) s.writeFile(`htdocs/${form}.shtml`, `[<!--#include virtual="/${form}?wait=50&size=3" -->|<!--#include virtual="/${form}?size=2" -->]`);
  },
);

const get = (form: Form, path: string, ...headers: string[]) => head(`GET /${form}${path} HTTP/1.1`, 'Host: localhost', ...headers);

async function ask(text: string): Promise<RawResponse> {
  const client = await server.raw();
  await client.send(text);
  const response = await client.readResponse();
  // The connection is in order afterwards.
  if (response.header('connection') !== 'close') {
    await client.send(head('GET /auto?size=1 HTTP/1.1', 'Host: localhost'));
    expect((await client.readResponse()).text).toBe('x');
  }
  client.close();
  return response;
}

const told = ({ status, headers, framing, complete, text }: RawResponse) => ({
  status,
  headers: headers.map(([name, value]) => [name, name === 'Date' ? '' : value]),
  framing,
  complete,
  text,
});

function expectAlike<T>(results: Record<Form, T>): T {
  for (const form of parkingForms) expect(results[form]).toEqual(results.wait);
  return results.wait;
}

beforeAll(async () => {
  await server.get('/wait');
});

describe('what filters and modules do', () => {
  it('mod_deflate packs a whole answer', async () => {
    const results = await eachForm(async (form) => told(await ask(get(form, '/deflated?wait=30&size=20000&type=text/html', 'Accept-Encoding: gzip'))));
    expectAlike(results);
    const response = await ask(get('park', '/deflated?wait=30&size=20000&type=text/html', 'Accept-Encoding: gzip'));
    expect(gunzipSync(response.body).length).toBe(20000);
  });

  it('mod_deflate packs a stream, and what was flushed arrives before the rest', async () => {
    await eachForm(async (form) => {
      const client = await server.raw();
      const begin = performance.now();
      await client.send(get(form, '/deflated?blocks=3&size=5000&gap=400&type=text/html', 'Accept-Encoding: gzip'));
      await client.readUntil('\r\n\r\n');
      await client.readBytes(20);
      expect(performance.now() - begin, form).toBeLessThan(350);
      client.close();
      const whole = await ask(get(form, '/deflated?blocks=3&size=5000&gap=30&type=text/html', 'Accept-Encoding: gzip'));
      expect(gunzipSync(whole.body).length, form).toBe(15000);
    });
  });

  it('mod_headers changes both heads', async () => {
    const wait = expectAlike(await eachForm(async (form) => told(await ask(get(form, '/headed?wait=30')))));
    expect(wait.headers).toContainEqual(['X-Added', 'some']);
    expectAlike(await eachForm(async (form) => told(await ask(get(form, '/headed?wait=30&status=500')))));
  });

  it('mod_rewrite leads to the application', async () => {
    const wait = expectAlike(await eachForm(async (form) => told(await ask(head(`GET /short/${form}/7 HTTP/1.1`, 'Host: localhost')))));
    expect(wait.text.slice(0, 20)).toBe('xxxxxxx');
  });

  it('mod_include works on an answer, and on a page that includes some', async () => {
    const wait = expectAlike(await eachForm(async (form) => told(await ask(get(form, '/included?wait=30&type=text/html&size=10')))));
    expect(wait.text).toBe('xxxxxxxxxx');
    const pages = expectAlike(await eachForm(async (form) => (await ask(head(`GET /${form}.shtml HTTP/1.1`, 'Host: localhost'))).text));
    expect(pages).toBe('[xxx|xx]');
  });

  it('ErrorDocument answers for what the server refuses, not for what the application says', async () => {
    const own = expectAlike(await eachForm(async (form) => told(await ask(get(form, '?status=404&wait=30')))));
    expect(own.text).toBe('xx');
    const missing = expectAlike(
      await eachForm(async (form) => {
        const client = await server.raw();
        await client.send(get(form, '?wait=30'));
        await client.readResponse();
        await client.send(head('GET /nothing-here HTTP/1.1', 'Host: localhost') + get(form, '?wait=30'));
        const refused = told(await client.readResponse());
        expect((await client.readResponse()).text).toBe('xx');
        client.close();
        return refused;
      }),
    );
    expect(missing.status).toBe(404);
    expect(missing.text).toBe(page);
  });
});

describe('mod_ratelimit', () => {
  const path = '/limited?wait=20&size=100000&length=1';

  it('has its rate', async () => {
    const times = await Promise.all(
      forms.map(async (form) => {
        const begin = performance.now();
        const response = await ask(get(form, path));
        expect(response.body.length, form).toBe(100_000);
        return performance.now() - begin;
      }),
    );
    for (const time of times) {
      expect(time).toBeGreaterThan(600);
      expect(time).toBeLessThan(2000);
    }
  });

  it('does not keep others waiting', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => server.raw()));
    for (const client of clients) await client.send(get('park', path));
    await sleep(150);
    const begin = performance.now();
    for (const form of forms) expect((await ask(get(form, '?wait=20'))).status).toBe(200);
    expect(performance.now() - begin).toBeLessThan(1200);
    for (const client of clients) {
      expect((await client.readResponse()).body.length).toBe(100_000);
      client.close();
    }
    expect(performance.now() - begin).toBeLessThan(2500);
  });
});

describe.concurrent('mod_reqtimeout', () => {
  /** How a client's body that does not come ends. */
  async function stalled(client: RawClient, form: Form): Promise<{ status: number; time: number }> {
    const begin = performance.now();
    await client.send(head(`POST /${form}?read=1 HTTP/1.1`, 'Host: localhost', 'Content-Length: 10') + '01234');
    const { status } = await client.readResponse();
    await client.waitForEnd();
    client.close();
    return { status, time: performance.now() - begin };
  }

  it('gives up bodies that do not come, on new and on kept connections', async () => {
    await Promise.all(
      forms.flatMap((form) =>
        [false, true].map(async (kept) => {
          const client = await server.raw();
          if (kept) {
            await client.send(get(form, '?wait=20'));
            await client.readResponse();
          }
          const { status, time } = await stalled(client, form);
          expect(status, `${form} ${kept}`).toBe(408);
          expect(time, `${form} ${kept}`).toBeGreaterThan(900);
          expect(time, `${form} ${kept}`).toBeLessThan(4000);
        }),
      ),
    );
  });

  it('gives up heads that do not come, on new and on kept connections', async () => {
    await Promise.all(
      forms.map(async (form) => {
        const client = await server.raw();
        await client.send(get(form, '?wait=20'));
        await client.readResponse();
        const begin = performance.now();
        await client.send(`GET /${form} HTTP/1.1\r\nHost: loc`);
        const rest = (await client.readAll()).toString();
        expect(rest === '' || rest.startsWith('HTTP/1.1 408'), `${form}: ${rest}`).toBe(true);
        expect(performance.now() - begin, form).toBeGreaterThan(1800);
        expect(performance.now() - begin, form).toBeLessThan(6000);
        client.close();
      }),
    );
  });

  it('lets heads pass that come in pieces', async () => {
    await eachForm(async (form) => {
      const client = await server.raw();
      await client.send(get(form, '?wait=20'));
      await client.readResponse();
      for (const piece of get(form, '?wait=20').match(/[^]{1,9}/g) ?? []) {
        await client.send(piece);
        await sleep(20);
      }
      expect((await client.readResponse()).text, form).toBe('xx');
      client.close();
    });
  });
});
