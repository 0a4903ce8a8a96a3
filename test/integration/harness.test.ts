// The harness itself, with an httpd that only serves a file.
import { expect, it } from 'vitest';
import { configtest, describeEachMpm, head, useServer, waitFor } from './harness/index.js';

describeEachMpm('the test harness', (mpm) => {
  const server = useServer(
    {
      mpm,
      nwsgi: false,
      vhosts: [{}, { tls: true, http2: mpm !== 'prefork' }, ...(mpm === 'prefork' ? [] : [{ http2: true }])],
    },
    (s) => void s.writeFile('htdocs/file.txt', 'some text'),
  );

  it('reaches every virtual host with a client of its protocol', async () => {
    expect((await server.get('/file.txt')).text).toBe('some text');
    expect((await server.request('/file.txt', { host: 1 })).text).toBe('some text');
    if (mpm === 'prefork') return;
    for (const host of [1, 2]) {
      const client = await server.http2(host);
      expect(await client.request('/file.txt')).toMatchObject({ status: 200, text: 'some text', complete: true });
      client.close();
    }
  });

  it('reads pipelined responses from a raw connection', async () => {
    for (const host of [0, 1]) {
      const client = await server.raw(host);
      const get = (name: string) => head(`GET ${name} HTTP/1.1`, 'Host: localhost');
      await client.send(get('/file.txt') + get('/absent'));
      expect(await client.readResponse()).toMatchObject({ status: 200, text: 'some text', framing: 'length', complete: true });
      expect(await client.readResponse()).toMatchObject({ status: 404, complete: true });
      client.close();
    }
  });

  it('restarts by signal and sees new children', async () => {
    const before = server.children();
    expect(before.length).toBeGreaterThan(0);
    await server.graceful();
    expect((await server.get('/file.txt')).status).toBe(200);
    await waitFor('the old children to leave', () => !server.children().some((pid) => before.includes(pid)));
    await server.restart();
    expect((await server.get('/file.txt')).status).toBe(200);
    expect(server.resident()).toBeGreaterThan(1e6);
  });

  it('reports what httpd says about a mistake in the configuration', async () => {
    const result = await configtest({ mpm, nwsgi: false, directives: 'NoSuchDirective On' });
    expect(result.ok).toBe(false);
    expect(result.output).toContain("Invalid command 'NoSuchDirective'");
  });
});
