/** Flask over TLS, by HTTP/1.1 and HTTP/2. */
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Http2Client } from '../../integration/harness/index.js';
import { arrivals } from '../harness/arrivals.js';
import { describePython, everyPlace } from '../harness/python.js';
import { flask } from '../suites/flask.js';

describePython({ ...flask, tls: true }, everyPlace, (target) => {
  let client: Http2Client;
  beforeAll(async () => {
    client = await Http2Client.connect(new URL(target.url('/')).origin);
  });
  afterAll(() => client.session.destroy());

  it('knows that the connection is safe', async () => {
    const seen = await target.get('/request', { Host: 'example.org' });
    expect(seen.json()).toMatchObject({ scheme: 'https', secure: true, url: `https://example.org${target.path('/request')}` });
    const streams = await client.request(target.path('/request'));
    expect(JSON.parse(streams.text)).toMatchObject({ scheme: 'https', secure: true, url: target.url('/request') });
  });

  it('answers many streams of one connection', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, (_, number) => client.request(target.path(`/items/${number}`))));
    expect(answers.map(({ text }) => (JSON.parse(text) as { number: number }).number)).toEqual(answers.map((_, number) => number));
  });

  it('takes uploads and sends files', async () => {
    const bytes = randomBytes(1_500_000);
    const answer = await client.request(target.path('/files/received'), { body: bytes });
    // HTTP/2 needs no length: the input ends by itself.
    expect(JSON.parse(answer.text)).toMatchObject({ size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
    const echo = await client.request(target.path('/files/echo'), { body: bytes.subarray(0, 300_000) });
    expect(echo.body.equals(bytes.subarray(0, 300_000))).toBe(true);
    const file = await client.request(target.path('/files/alphabet'), { headers: { range: 'bytes=0-2' } });
    expect([file.status, file.text]).toEqual([206, 'abc']);
  });

  it('streams, and cuts what fails', async () => {
    const lines = await arrivals(target, '/streams/lines');
    expect([lines.text.length, lines.spread > 250]).toEqual([90, true]);
    // Over HTTP/2 mod_wsgi does not tell.
    if (target.ours) expect((await client.request(target.path('/streams/broken'))).complete).toBe(false);
  });

  it('notices when a stream is given up', async () => {
    const name = `h2${target.mount.slice(1)}`;
    const stream = client.stream(target.path(`/streams/endless/${name}`), {}, true);
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('data', resolve));
    stream.close(8);
    await expect.poll(async () => (await target.get('/streams/gone')).json(), { timeout: 5000 }).toContain(name);
  });
});
