/** Flask without Apache: `nwsgi serve`, and NGINX in front of it, which speaks FastCGI or HTTP. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { NwsgiServe, projectRoot } from '../../integration/harness/index.js';
import { frontArguments, fronts, type Front } from '../../integration/support/fronts.js';
import { PythonTarget, type PythonServer } from '../harness/python.js';
import { flask, flaskSuite } from '../suites/flask.js';

function servedBy(args: (server: NwsgiServe) => readonly string[]): NwsgiServe {
  const server = new NwsgiServe({ script: 'flask/shop.wsgi', args: (s) => [...args(s), `--python-path=${s.app('flask')}`] });
  cpSync(join(projectRoot, 'test', 'frameworks', 'apps', 'python', 'flask'), server.app('flask'), { recursive: true });
  return server;
}

/** What the tests use of an Apache. */
const asServer = (server: NwsgiServe, port: () => number): PythonServer => ({
  get ports() {
    return [port()];
  },
  app: (name) => server.app(name),
  writeFile: (name, content) => {
    const file = join(server.root, name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, content, { mode: 0o644 });
    return file;
  },
  mark: () => server.mark(),
  log: (since) => server.output(since),
  expectLog: (pattern, options) => server.expectOutput(pattern as RegExp, options),
});

const server = servedBy((s) => frontArguments(s));
beforeAll(() => server.start());
afterAll(() => server.stop());

describe('nwsgi serve', () => flaskSuite(new PythonTarget('nwsgi serve', flask, '', asServer(server, () => server.port), 0)));

describe.each(fronts.filter(({ name }) => name.startsWith('NGINX')))('nwsgi serve behind $name', ({ available, start }) => {
  if (!available) return;
  let front: Front;
  beforeAll(async () => {
    front = await start(server);
  });
  afterAll(() => front.stop());
  flaskSuite(new PythonTarget('nwsgi serve behind NGINX', flask, '', asServer(server, () => front.port), 0));
});
