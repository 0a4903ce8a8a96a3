// What the server writes down about a request is the same whether it waited in place or was parked: access log, bytes, status.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { head, sleep, useServer, waitFor, type RawClient, type RawResponse } from './harness/index.js';
import { eachForm, forms, parkingForms, parkingServer, type Form } from './support/parking.js';

const fields = ['url', 'status', 'connection', 'keepalive', 'b', 'B', 'in', 'out', 'sum', 'us', 's', 'ms', 'id', 'handler', 'logId'] as const;
type Line = Record<(typeof fields)[number], string>;

const server = useServer(
  parkingServer({
    modules: ['unique_id', 'status'],
    directives: (s) => [
      'ExtendedStatus On',
      `CustomLog "${s.root}/logs/told.log" "%U%q|%>s|%X|%k|%b|%B|%I|%O|%S|%D|%T|%{ms}T|%{UNIQUE_ID}e|%R|%L"`,
      'ErrorDocument 404 "no such thing"',
      '<Location "/server-status">',
      'SetHandler server-status',
      '</Location>',
    ],
  }),
);

/** Lines of the log about requests below a prefix, as far as they came after a mark. */
function lines(form: Form, since: number): Line[] {
  const text = readFileSync(join(server.root, 'logs', 'told.log'), 'utf8').slice(since);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`/${form}`))
    .map((line) => Object.fromEntries(line.split('|').map((value, i) => [fields[i], value])) as Line);
}
const size = () => readFileSync(join(server.root, 'logs', 'told.log'), 'utf8').length;

/** Lines without what is about time or names a request, and without what came in: the rest has to be equal. */
const comparable = (form: Form, found: Line[]) =>
  found.map(({ us: _us, s: _s, ms: _ms, id: _id, logId: _logId, in: _in, sum: _sum, ...rest }) => ({ ...rest, url: rest.url.replace(`/${form}`, '/FORM').replace(/&n=.*$/, '') }));

/** Runs `body` with each form, and returns the lines that come of it. */
async function logged(count: number, body: (form: Form, client: RawClient) => Promise<void>): Promise<Record<Form, Line[]>> {
  return eachForm(async (form) => {
    const since = size();
    const client = await server.raw();
    await body(form, client);
    client.close();
    return waitFor(`${count} lines of ${form}`, () => {
      const found = lines(form, since);
      return found.length >= count ? found : undefined;
    });
  });
}

function expectAlike(found: Record<Form, Line[]>): Line[] {
  for (const form of parkingForms) expect(comparable(form, found[form])).toEqual(comparable('wait', found.wait));
  for (const form of forms) {
    found[form].forEach((line, i) => {
      // httpd looks for a next request, and counts its first byte twice where that is there already.
      expect(Math.abs(Number(line.in) - Number(found.wait[i]?.in)), form).toBeLessThanOrEqual(1);
      expect(Number(line.sum), form).toBe(Number(line.in) + Number(line.out));
    });
  }
  return found.wait;
}

const get = (form: Form, query: string, ...headers: string[]) => head(`GET /${form}?${query} HTTP/1.1`, 'Host: localhost', ...headers);

async function ask(client: RawClient, text: string, method = 'GET'): Promise<RawResponse> {
  await client.send(text);
  return client.readResponse({ method });
}

beforeAll(async () => {
  await server.get('/wait');
});

describe('the access log', () => {
  it('has state of the connection and number of the request: kept alive, then closed', async () => {
    const found = await logged(3, async (form, client) => {
      await ask(client, get(form, 'wait=30'));
      await ask(client, get(form, 'wait=30&status=404'));
      await ask(client, get(form, 'wait=30', 'Connection: close'));
    });
    const inPlace = expectAlike(found);
    expect(inPlace.map(({ connection, keepalive, status }) => `${connection}${keepalive} ${status}`)).toEqual(['+0 200', '+1 404', '-1 200']);
  });

  it('has bytes of bodies and of all', async () => {
    const body = 'b'.repeat(100_000);
    const found = await logged(5, async (form, client) => {
      const post = (query: string) => head(`POST /${form}?${query} HTTP/1.1`, 'Host: localhost', `Content-Length: ${body.length}`) + body;
      expect((await ask(client, post('read=1&blocks=0&wait=30'))).body.length).toBe(body.length);
      await ask(client, get(form, 'blocks=3&size=1000&gap=30'));
      await ask(client, get(form, 'status=204&blocks=0&wait=30'));
      await ask(client, head(`HEAD /${form}?size=20&length=1&wait=30 HTTP/1.1`, 'Host: localhost'), 'HEAD');
      expect((await ask(client, get(form, 'blocks=40&size=50000&wait=20&length=1'))).body.length).toBe(2_000_000);
    });
    const inPlace = expectAlike(found);
    expect(inPlace.map(({ B }) => B)).toEqual(['100000', '3000', '0', '0', '2000000']);
    expect(Number(inPlace[0]?.in)).toBeGreaterThan(100_000);
  });

  it('has pipelined requests one by one', async () => {
    const found = await logged(3, async (form, client) => {
      await client.send(get(form, 'wait=30') + get(form, 'size=10') + get(form, 'blocks=2&gap=20'));
      for (let i = 0; i < 3; i++) await client.readResponse();
    });
    expectAlike(found);
  });

  it('has the time from begin to end, and an id of each request', async () => {
    const found = await logged(2, async (form, client) => {
      await ask(client, get(form, 'wait=200&n=1'));
      await ask(client, get(form, 'blocks=3&gap=100&n=2'));
    });
    for (const form of forms) {
      for (const line of found[form]) {
        expect(Number(line.us), form).toBeGreaterThan(190_000);
        expect(Number(line.us), form).toBeLessThan(900_000);
        expect(Math.abs(Number(line.us) / 1000 - Number(line.ms)), form).toBeLessThan(2);
      }
    }
    const ids = forms.flatMap((form) => found[form].map(({ id }) => id));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every((id) => id.length > 20)).toBe(true);
  });

  it('marks a client that left while it waited', async () => {
    const found = await logged(1, async (form, client) => {
      await client.send(get(form, 'wait=2000'));
      await sleep(200);
      client.reset();
    });
    const inPlace = expectAlike(found);
    expect(inPlace[0]).toMatchObject({ connection: 'X' });
    for (const form of forms) expect(Number(found[form][0]?.us), form).toBeLessThan(1_500_000);
  });

  it('marks a client that left in the middle of the answer', async () => {
    const found = await logged(1, async (form, client) => {
      await client.send(get(form, 'blocks=20&gap=100&size=10'));
      await client.readUntil('xxxxxxxxxx');
      client.reset();
    });
    for (const form of forms) expect(found[form][0], form).toMatchObject({ connection: 'X', status: '200' });
  });

  it('names the entry of the error log, where the client is called one as ever', async () => {
    const mark = server.mark();
    const found = await logged(1, async (form, client) => {
      await client.send(get(form, 'wait=2000'));
      await sleep(100);
      client.reset();
    });
    for (const form of forms) expect(found[form][0]?.logId, form).toMatch(/^\S{5,}$/);
    expect(server.log(mark)).not.toContain('[remote ');
    expect(server.log(mark).match(/\[client 127\.0\.0\.1:\d+\] NWSGI\d+ the client left/g)).toHaveLength(forms.length);
  });
});

async function status(): Promise<Record<string, string>> {
  const text = (await server.get('/server-status?auto')).text;
  return Object.fromEntries(text.split('\n').map((line) => line.split(/:\s*/, 2) as [string, string]));
}

describe('mod_status', () => {
  it('counts requests and bytes', async () => {
    const counts = await eachForm(async (form) => {
      await sleep(50);
      const before = await status();
      const client = await server.raw();
      for (let i = 0; i < 10; i++) await ask(client, get(form, 'wait=5&size=10240&length=1'));
      client.close();
      await sleep(50);
      const after = await status();
      const more = (name: string) => Number(after[name]) - Number(before[name]);
      return { requests: more('Total Accesses'), kilobytes: more('Total kBytes') };
    });
    for (const form of forms) {
      expect(counts[form].requests, form).toBe(11);  // the first look itself
      expect(Math.abs(counts[form].kilobytes - counts.wait.kilobytes), form).toBeLessThanOrEqual(2);
    }
  });

  it('does not count threads as busy for what is parked, but says how much that is', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => server.raw()));
    for (const client of clients) await client.send(get('park', 'wait=700'));
    await sleep(150);
    const during = await status();
    expect(Number(during.BusyWorkers)).toBe(1);
    expect(Number(during.IdleWorkers)).toBe(3);
    expect(Number(during.ConnsParked)).toBeGreaterThanOrEqual(10);
    expect((await server.get('/server-status')).text).toMatch(/parked/);
    for (const client of clients) {
      expect((await client.readResponse()).status).toBe(200);
      client.close();
    }
    await waitFor('none is left', async () => Number((await status()).ConnsParked) === 0);
  });

  it('shows a thread that waits in place as busy', async () => {
    const client = await server.raw();
    await client.send(get('wait', 'wait=500'));
    await sleep(150);
    expect(Number((await status()).BusyWorkers)).toBe(2);
    await client.readResponse();
    client.close();
  });
});
