/** New versions of a Flask site, and restarts of the server, while visitors are there. */
import { mkdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startLoad, waitFor, type HttpdServer } from '../../integration/harness/index.js';
import { describePython, type Place, type PythonTarget } from '../harness/python.js';
import { flask } from '../suites/flask.js';

/** A module of the site, which its script does not know. */
const words = (text: string) => `word = '${text}'\n`;
const script = `
import atexit
import time
from shop import create_app
from words import word

application = create_app()
application.add_url_rule('/word', 'word', lambda: word)
application.add_url_rule('/slow', 'slow', lambda: time.sleep(0.7) or word)
atexit.register(lambda: print(f'{word} has ended'))
`;

const write = (server: HttpdServer, name: string, text: string) => server.writeFile(join('apps', 'flask', name), text);
const site = (place: Place) => ({
  ...flask,
  script: 'site.wsgi',
  mountable: false,
  prepare: (_: string, server: HttpdServer) => {
    write(server, 'site.wsgi', script);
    write(server, 'words.py', words('first'));
    // Bytecode is not written for folders that are Apache's to read only; modules are told apart by their text.
    if (place === 'daemon') mkdirSync(join(server.app('flask'), '__pycache__'), { mode: 0o777 });
  },
});

const says = (target: PythonTarget, text: string) => waitFor(`the answer ${text}`, async () => (await target.get('/word')).text === text);

/** As `touch` does, a second later than before. */
let seconds = Math.floor(Date.now() / 1000);
const touch = (server: HttpdServer) => utimesSync(join(server.app('flask'), 'site.wsgi'), (seconds += 1), seconds);

describe('in a process group', () => {
  describePython(site('daemon'), ['daemon'], (target) => {
    it('a new version replaces the old one, modules and all, without a lost request', async () => {
      await says(target, 'first');
      const load = startLoad(target.server, '/word', { connections: 3, check: (body) => /^(first|second)$/.test(body) });
      const slow = target.get('/slow');
      // Its own length: Python tells old bytecode by time and size of the source.
      write(target.server, 'words.py', words('second'));
      touch(target.server);
      await says(target, 'second');
      expect((await slow).text).toBe('first');
      expect(await load.stop()).toMatchObject({ failures: [] });
      await target.server.expectLog('first has ended');
    });

    it('one that does not load changes nothing', async () => {
      const since = target.server.mark();
      write(target.server, 'words.py', 'this is no Python');
      touch(target.server);
      await target.server.expectLog(/NWSGI2\d+.*[^]*SyntaxError/, { since, milliseconds: 10_000 });
      expect((await target.get('/word')).text).toBe('second');
      write(target.server, 'words.py', words('the third'));
      touch(target.server);
      await says(target, 'the third');
    });

    it('a graceful restart of Apache loses none either', () => gracefully(target, 'the third', 'the fourth'));
  });
});

describe('in the children of Apache', () => {
  describePython(site('embedded'), ['embedded'], (target) => {
    it('a changed script is run again, its modules are not', async () => {
      await says(target, 'first');
      const load = startLoad(target.server, '/word', { connections: 3, check: (body) => /^(first|second|first again)$/.test(body) });
      write(target.server, 'words.py', words('second'));
      write(target.server, 'site.wsgi', script.replace("'word', lambda: word", "'word', lambda: word + ' again'"));
      touch(target.server);
      await says(target, 'first again');
      expect(await load.stop()).toMatchObject({ failures: [] });
      write(target.server, 'site.wsgi', script);
      touch(target.server);
      await says(target, 'first');
    });

    it('a graceful restart loads everything anew, without a lost request', () => gracefully(target, 'first', 'the fourth'));
  });
});

async function gracefully(target: PythonTarget, before: string, after: string): Promise<void> {
  await says(target, before);
  const load = startLoad(target.server, '/word', { connections: 3, check: (body) => body === before || body === after });
  const slow = target.get('/slow');
  write(target.server, 'words.py', words(after));
  await target.server.graceful();
  await says(target, after);
  expect((await slow).text).toMatch(new RegExp(`^(${before}|${after})$`));
  // The event MPM itself closes a connection now and then that has just been accepted, also where it only sends files.
  expect((await load.stop()).failures.filter((failure) => !failure.includes('ECONNRESET'))).toEqual([]);
}
