/**
 * What a server of node:http is promised, held against the same script in a Node process of its own: objects, order of
 * events, header rules, back-pressure, ends. Where the two differ by design, the test says so.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { head, HttpdServer, NodeProcess, projectRoot, RawClient, request, sleep, waitFor, type HttpResponse, type RequestOptions } from './harness/index.js';
import { startWorker, type TestWorker } from '../unit/helpers/worker.js';

const script = 'node/laboratory.cjs';

interface Place {
  readonly port: number;
  log(): string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

class InNode implements Place {
  #process = new NodeProcess();
  get port(): number {
    return this.#process.port;
  }
  log = (): string => this.#process.output;
  start = async (): Promise<void> => void (await this.#process.start(join(projectRoot, 'test/fixtures/apps', script), { LABORATORY_HANDLES_ERRORS: '1' }));
  stop = (): Promise<void> => this.#process.stop();
}

class InApache implements Place {
  readonly server = new HttpdServer({ apps: [script], threads: 32, directives: (s) => `WSGIScriptAlias / ${s.app(script)}` });
  get port(): number {
    return this.server.port;
  }
  log = (): string => this.server.log();
  start = async (): Promise<void> => void (await this.server.start());
  stop = (): Promise<void> => this.server.stop();
}

/** A worker of `nwsgi serve --http`: its own server stands in the place of Apache. */
class InWorker implements Place {
  #worker: TestWorker | undefined;
  get port(): number {
    return this.#worker?.port ?? 0;
  }
  log = (): string => this.#worker?.log ?? '';
  start = async (): Promise<void> => {
    this.#worker = await startWorker({ gateway: join(projectRoot, 'dist'), script: { path: join(projectRoot, 'test/fixtures/apps', script) } });
  };
  stop = async (): Promise<void> => this.#worker?.end();
}

describe.each([
  ['in a Node process', InNode],
  ['in Apache', InApache],
  ['in a worker with HTTP', InWorker],
])('%s', (_title, Kind) => {
  const place = new Kind();
  const inApache = place instanceof InApache;
  beforeAll(() => place.start());
  afterAll(() => place.stop());
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(place.log().split('\n').slice(-15).join('\n'))));

  const get = (path: string, options: RequestOptions = {}): Promise<HttpResponse> => request(`http://127.0.0.1:${place.port}${path}`, options);
  const raw = (): Promise<RawClient> => RawClient.connect(place.port);
  let counter = 0;

  /** The events of a request, once both objects are closed. */
  async function eventsOf(path: string, options: RequestOptions = {}): Promise<{ response: HttpResponse; events: string[] }> {
    const id = `r${counter++}`;
    const response = await get(path, { ...options, headers: { ...(options.headers as object), 'X-Id': id } });
    return { response, events: await closed(id) };
  }

  function closed(id: string): Promise<string[]> {
    return waitFor(`the last event of request ${id}`, async () => {
      const events = (await get(`/events/${id}`)).json() as string[];
      return events.includes('req.close') && events.includes('res.close') ? events : undefined;
    });
  }

  describe('objects', () => {
    it('are those of Node, with the facts of the connection', async () => {
      const facts = (await get('/facts?a=%20b', { headers: ['X-Two', '1', 'x_under', '2', 'Host', 'example.org', 'Connection', 'close'] })).json() as Record<string, unknown[]>;
      expect(facts.classes).toEqual([true, true, true, true, true]);
      const [address, family, remote, ...local] = facts.addresses as unknown[];
      expect([String(address).replace('::ffff:', ''), inApache ? family : 'IPv4', remote]).toEqual(['127.0.0.1', 'IPv4', true]);
      expect(local).toEqual([place.port, place.port, false]);
      expect(facts.states).toEqual([true, true, false, false, false, 'open', false, false, false, false, false]);
      expect(facts.request).toEqual(['GET', '/facts?a=%20b', '1.1', 1, 1, null, null]);
      expect(facts.rawHeaders).toEqual(['X-Two', '1', 'x_under', '2', 'Host', 'example.org', 'Connection', 'close']);
      expect(facts.headers).toEqual({ 'x-two': '1', x_under: '2', host: 'example.org', connection: 'close' });
      expect(facts.distinct).toEqual({ 'x-two': ['1'], x_under: ['2'], host: ['example.org'], connection: ['close'] });
    });
  });

  describe('events', () => {
    const ANSWERED = ['res.prefinish', 'res.finish', 'res.close', 'req.end', 'req.close'];

    it('of a GET come in the order of Node', async () => {
      expect((await eventsOf('/hello')).events).toEqual(ANSWERED);
    });

    it('of a POST whose body nobody reads are the same', async () => {
      expect((await eventsOf('/drop-body', { body: 'x'.repeat(10_000) })).events).toEqual(ANSWERED);
    });

    it('of a POST whose body is read: its end comes first', async () => {
      const { response, events } = await eventsOf('/count-body', { body: 'x'.repeat(300_000) });
      expect(response.json()).toMatchObject({ bytes: 300_000, complete: true });
      expect(events[0]).toBe('req.end');
      expect([...events].sort()).toEqual([...ANSWERED].sort());
      expect(events.indexOf('res.finish')).toBeLessThan(events.indexOf('res.close'));
    });

    it('of a client that leaves before the answer', async () => {
      const client = await raw();
      await client.send(head('GET /never HTTP/1.1', 'Host: x', 'X-Id: left'));
      await sleep(100);
      client.close();
      expect(await closed('left')).toEqual(['req.aborted', 'res.close', 'req.error ECONNRESET', 'req.close']);
    });

    it('of a client that leaves in the middle of its body', async () => {
      const client = await raw();
      await client.send(head('POST /count-body HTTP/1.1', 'Host: x', 'X-Id: half', 'Content-Length: 1000'));
      await client.send('some');
      await sleep(100);
      client.reset();
      expect(await closed('half')).toEqual(['req.aborted', 'res.close', 'req.error ECONNRESET', 'req.close']);
    });

    it('of write() after end(): false, an error for the callback and as event', async () => {
      const { events } = await eventsOf('/write-after-end');
      expect(events.slice(0, 2)).toEqual(['res.prefinish', 'returned false']);
      expect(events).toContain('callback ERR_STREAM_WRITE_AFTER_END');
      expect(events.filter((event) => event.endsWith('.close'))).toHaveLength(2);
    });

    it('of a time-out of the response reach its listener', async () => {
      const { response, events } = await eventsOf('/timeout');
      expect([response.status, response.text]).toEqual([504, 'too slow']);
      expect(events).toEqual(ANSWERED);
    });
  });

  describe('bodies', () => {
    it('are there for listeners that come late', async () => {
      expect((await get('/late-listener', { body: 'late '.repeat(50_000) })).text).toBe('late '.repeat(50_000));
    });

    it('of 8 MiB go through in both directions', async () => {
      const body = Buffer.alloc(8 << 20, 'abcdefg');
      expect((await get('/echo', { body })).body.equals(body)).toBe(true);
    });

    it('have trailers', async () => {
      const client = await raw();
      await client.send(`${head('POST /count-body HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked', 'Trailer: X-Sum', 'Connection: close')}3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n`);
      expect(JSON.parse((await client.readResponse()).text)).toMatchObject({ bytes: 3, trailers: { 'x-sum': '6' }, rawTrailers: ['X-Sum', '6'] });
      client.close();
    });

    it('are read on although the answer is complete', async () => {
      const client = await raw();
      await client.send(head('POST /answer-first HTTP/1.1', 'Host: x', 'Content-Length: 200000'));
      await client.send('x'.repeat(100_000));
      await client.readUntil('early');
      await client.send('x'.repeat(100_000));
      await waitFor('the end of the request', async () => ((await get('/events/answer-first')).json() as string[])[0] === '200000');
      client.close();
    });

    it('wait for slow readers: write() returns false, drain follows each time', async () => {
      const { body } = await get('/drain');
      expect(body.length).toBe(10_000_000);
      const seen = await waitFor('the count', async () => ((await get('/events/drain')).json() as string[])[0]);
      const { drains, needed, callbacks } = JSON.parse(seen) as Record<string, number>;
      expect(drains).toBeGreaterThan(10);
      expect([needed, callbacks]).toEqual([drains, 100]);
    });

    it('take strings in any encoding, and arrays of bytes', async () => {
      expect((await get('/encodings')).body).toEqual(Buffer.concat([Buffer.from([0xe9]), Buffer.from('éé'), Buffer.from('AB'), Buffer.from('é')]));
    });

    it('are sent block by block', async () => {
      const client = await raw();
      await client.send(head('GET /begin HTTP/1.1', 'Host: x'));
      await client.readUntil('begin');
      client.close();
      expect((await get('/stream')).text).toBe('part 2\npart 1\npart 0\nend');
    });

    it('are whole when they follow their head a tick later', async () => {
      expect((await get('/tick')).text).toBe('written and ended in one tick');
    });

    it('may be corked', async () => {
      expect((await get('/cork')).text).toBe('0123456789');
    });

    it.each([200, 201, 304, 204, 404, 500, 599])('with status %d follow the rules', async (status) => {
      const { status: got, statusText, text, headers, all } = await get('/status', { headers: { 'X-Status': String(status) } });
      const bodiless = status === 204 || status === 304;
      expect([got, statusText, text]).toEqual([status, 'My Reason', bodiless ? '' : 'body']);
      expect([headers['x-one'], all('Link')]).toEqual(['1', ['<a>', '<b>']]);
    });

    it('are not sent to HEAD', async () => {
      const response = await get('/hello', { method: 'HEAD' });
      expect([response.status, response.text]).toEqual([200, '']);
    });
  });

  describe('headers', () => {
    it('are set, appended, removed and listed', async () => {
      const response = await get('/set-headers');
      expect(response.json()).toEqual([7, ['x-number', 'set-cookie', 'x-case'], true]);
      expect(response.all('Set-Cookie')).toEqual(['a=1', 'b=2', 'c=3']);
      expect(response.rawHeaders).toContain('x-CaSe');
      expect(response.headers['x-gone']).toBe(undefined);
    });

    it('may be a flat array with repeated names', async () => {
      expect((await get('/flat-headers')).all('X-A')).toEqual(['1', '2']);
    });

    it('of the connection stay with the server', async () => {
      const response = await get('/hop-by-hop');
      expect([response.text, response.headers['x-kept']]).toEqual(['body', '1']);
      if (inApache) expect([response.headers['x-hop'], response.headers['keep-alive'], response.headers.upgrade]).toEqual([undefined, undefined, undefined]);
    });

    it('Connection: close ends the connection', async () => {
      const client = await raw();
      await client.send(head('GET /close HTTP/1.1', 'Host: x'));
      expect((await client.readResponse()).text).toBe('closed');
      await client.waitForEnd();
      client.close();
    });

    it('Range is the application\'s business', async () => {
      const response = await get('/ranges', { headers: { Range: 'bytes=2-4' } });
      expect([response.status, response.text]).toEqual([200, '0123456789']);
    });

    it('that are wrong are refused as by Node', async () => {
      expect((await get('/mistakes')).json()).toEqual({
        name: 'ERR_INVALID_HTTP_TOKEN',
        character: 'ERR_INVALID_CHAR',
        none: 'ERR_HTTP_INVALID_HEADER_VALUE',
        status: 'ERR_HTTP_INVALID_STATUS_CODE',
        chunk: 'ERR_INVALID_ARG_TYPE',
        set: 'ERR_HTTP_HEADERS_SENT',
      });
    });

    it('may follow the body', async () => {
      const response = await get('/trailers');
      expect([response.text, response.trailers]).toEqual(['body', { 'x-check': 'sum' }]);
    });
  });

  describe('interim responses', () => {
    it('103 and 102 come before the final one', async () => {
      const response = await get('/hints');
      expect([response.interim, response.text]).toEqual([[103, 102], 'final']);
    });

    it('100 comes when the application says so', async () => {
      const client = await raw();
      await client.send(head('POST /echo HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 3'));
      await client.readUntil('HTTP/1.1 100 Continue\r\n\r\n');
      await client.send('abc');
      expect((await client.readResponse()).text).toBe('abc');
      client.close();
    });

    it('100 does not come when the application refuses', async () => {
      const client = await raw();
      await client.send(head('POST /refuses HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 3'));
      const response = await client.readResponse();
      expect([response.status, response.text]).toEqual([413, 'too large']);
      client.close();
    });
  });

  describe('ends', () => {
    it('res.destroy() closes the connection without an answer', async () => {
      const client = await raw();
      await client.send(head('GET /destroy HTTP/1.1', 'Host: x'));
      await client.waitForEnd();
      expect(client.pending.length).toBe(0);
      client.close();
    });

    it('socket.destroy() in the middle of an answer leaves it visibly incomplete', async () => {
      const { response, events } = await eventsOf('/destroy-late');
      expect([response.text, response.complete]).toEqual(['begin', false]);
      expect(events).toEqual(['req.aborted', 'res.close', 'req.error ECONNRESET', 'req.close']);
    });

    it('AsyncLocalStorage keeps requests apart', async () => {
      const ids = Array.from({ length: 20 }, (_, i) => `s${i}`);
      const seen = await Promise.all(ids.map(async (id) => (await get('/storage', { headers: { 'X-Id': id } })).json()));
      expect(seen).toEqual(ids.map((after) => ({ after })));
    });

    it('what was sent before socket.destroy() arrives', async () => {
      const response = await get('/flush-destroy');
      expect([response.status, response.text, response.complete]).toEqual([200, '', false]);
    });

    it.runIf(inApache).each([
      ['an exception', '/throws', 'thrown by the handler'],
      ['a rejected promise', '/rejects', 'rejected by the handler'],
    ])('%s of the handler costs its own request only', async (_what, path, message) => {
      const [failed, other] = await Promise.all([get(path), get('/stream')]);
      expect([failed.status, other.text]).toEqual([500, 'part 2\npart 1\npart 0\nend']);
      expect(place.log()).toMatch(new RegExp(`NWSGI2201 .*${message}`));
      expect((await get('/hello')).text).toBe('hello');
    });
  });
});
