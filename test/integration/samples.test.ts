// What the repository shows to its users works as it is: the configurations in apache-conf/ and npm start.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configtest, freePorts, projectRoot, request, sanitized, useServer, waitFor } from './harness/index.js';

describe.skipIf(sanitized)('the configurations in apache-conf', () => {
  it.each(['minimal.conf', 'production.conf', 'daemon.conf', 'python.conf'])('httpd accepts %s inside its configuration', async (name) => {
    const { ok, output } = await configtest({
      nwsgi: false,
      directives: (s) => [`Define NWSGI_HOME "${s.home}"`, 'Define NWSGI_PYTHON_HOME /usr', `Include "${s.home}/apache-conf/${name}"`],
    });
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
  });
});

describe('the example application', () => {
  const server = useServer({
    directives: (s) => [
      `WSGIScriptAlias /example ${s.home}/apache-conf/example/app.ts`,
      `<Directory "${s.home}/apache-conf/example">`,
      'Require all granted',
      '</Directory>',
    ],
  });

  it('links to its pages below the place where it is mounted', async () => {
    const { status, text } = await server.get('/example/');
    expect(status).toBe(200);
    const links = [...text.matchAll(/href="([^"]+)"/g)].map((match) => match[1] as string);
    expect(links).toEqual(['/example/environ', '/example/stream', '/example/source', '/example/error']);
  });

  it('shows the environ, streams, echoes and sends itself', async () => {
    expect((await server.get('/example/environ')).text).toContain('<th>wsgi.input</th>');
    expect((await server.get('/example/stream')).text).toMatch(/^1 of 10 .*\n(.*\n)*10 of 10 .*\n$/);
    expect((await server.post('/example/echo', 'text=h%C3%A9llo')).text).toBe('text=h%C3%A9llo');
    expect((await server.get('/example/source')).text).toContain('export function application');
    expect((await server.get('/example/absent')).status).toBe(404);
    expect((await server.get('/example/error')).status).toBe(500);
  });
});

describe.skipIf(sanitized)('npm start', () => {
  const start = (port: number) => {
    const child = spawn(process.execPath, [join(projectRoot, 'scripts/start.mjs'), '--port', String(port)], { cwd: projectRoot });
    const run = { child, output: '', status: undefined as number | null | undefined };
    child.stdout.on('data', (text) => (run.output += text));
    child.stderr.on('data', (text) => (run.output += text));
    child.on('close', (code) => (run.status = code));
    return run;
  };

  it('serves the example until it is told to stop, and says so when it runs already', async () => {
    const [port] = (await freePorts(1)) as [number];
    const first = start(port);
    try {
      await waitFor(`npm start to announce its URL; it said:\n${first.output}`, () => first.output.includes('Ctrl-C') || first.status !== undefined, 60_000);
      expect(first.output).toContain(`http://127.0.0.1:${port}/`);
      expect((await request(`http://127.0.0.1:${port}/`)).text).toContain('It works');
      const second = start(port);
      await waitFor('the second start to end', () => second.status !== undefined, 20_000);
      expect(second.status).toBe(1);
      expect(second.output).toContain(`nwsgi is running already: http://127.0.0.1:${port}/`);
    } finally {
      first.child.kill('SIGTERM');
    }
    await waitFor('npm start to end', () => first.status !== undefined, 20_000);
    expect(first.output).toContain('Stopped.');
    expect(first.status).toBe(0);
  });
});
