// A Python script whose file changed: the old version serves until the new one is loaded; a broken one changes nothing.
import { rmSync, utimesSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { daemon, sleep, useServer, waitFor } from '../harness/index.js';
import { SteadyLoad } from '../harness/steady-load.js';

/** Source of an application that answers with `text`; `before` runs while it is loaded. */
const version = (text: string, before = ''): string => `import os, time
${before}
instance = os.urandom(8).hex()

def slowly():
    yield b'begun '
    time.sleep(1.5)
    yield b'${text}'

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/instance':
        return [instance.encode()]
    if environ['PATH_INFO'] == '/collect':
        import gc
        return [str(gc.collect()).encode()]
    if environ['PATH_INFO'] == '/slow':
        return slowly()
    return [b'${text}']
`;

const names = ['edited', 'touched', 'broken', 'in-flight', 'often', 'during', 'removed'];

const server = useServer(
  {
    threads: 16,
    directives: (s) => [
      ...names.map((name) => `WSGIScriptAlias /${name} ${s.app(`${name}.py`)} application-group=${daemon ? name : 'all'}`),
      `WSGIScriptAlias /fixed ${s.app('fixed.wsgi')} application-group=fixed`,
      '<Location "/fixed">\nWSGIScriptReloading Off\n</Location>',
    ],
  },
  (s) => {
    for (const name of names) s.writeApp(`${name}.py`, version('1'));
    s.writeApp('fixed.wsgi', version('1'));
  },
);

const text = async (path: string) => {
  const response = await server.get(path);
  return response.status === 200 ? response.text : `status ${response.status}`;
};

/** Waits for an answer; every answer on the way has to be one of `others`. */
async function becomes(path: string, wanted: string, others: string[]): Promise<void> {
  await waitFor(
    `${path} to answer "${wanted}"`,
    async () => {
      const seen = await text(path);
      if (seen !== wanted) expect(others).toContain(seen);
      return seen === wanted;
    },
    10_000,
    30,
  );
}

describe('a changed Python script', () => {
  it('is loaded by itself', async () => {
    expect(await text('/edited')).toBe('1');
    server.writeApp('edited.py', version('22'));
    await becomes('/edited', '22', ['1']);
  });

  it('leaves nothing of the old version behind', async () => {
    const traced = (text: string): string => version(text, `class Trace:\n    def __del__(self):\n        print('version ${text} is gone')\ntrace = Trace()`);
    server.writeApp('edited.py', traced('traced'));
    await becomes('/edited', 'traced', ['22', 'traced', 'untraced']);
    const since = server.mark();
    server.writeApp('edited.py', version('untraced'));
    await becomes('/edited', 'untraced', ['traced']);
    // Modules are circles; Python's collector comes to them now and then.
    await waitFor('the end of the old version', async () => {
      await server.get('/edited/collect');
      return /version traced is gone/.test(server.log(since));
    });
  });

  it('is loaded when it was only touched, as mod_wsgi users do', async () => {
    const before = await text('/touched/instance');
    const now = new Date(Date.now() + 2000);
    utimesSync(server.app('touched.py'), now, now);
    await waitFor('another instance', async () => (await text('/touched/instance')) !== before);
    expect(await text('/touched')).toBe('1');
  });

  it('with an error is not: the old version goes on, and the log says why; the corrected one follows', async () => {
    const instance = await text('/broken/instance');
    const since = server.mark();
    server.writeApp('broken.py', version('2', 'raise RuntimeError("the new version is broken")'));
    await server.expectLog(/NWSGI2102.*the new version is broken/, { since, milliseconds: 10_000 });
    await sleep(200);
    expect(await text('/broken/instance')).toBe(instance);
    server.writeApp('broken.py', version('3'));
    await becomes('/broken', '3', ['1']);
  });

  it('lets requests of the old version finish', async () => {
    expect(await text('/in-flight')).toBe('1');
    const slow = server.get('/in-flight/slow');
    await sleep(150);
    server.writeApp('in-flight.py', version('2'));
    await becomes('/in-flight', '2', ['1']);
    expect(await slow).toMatchObject({ status: 200, text: 'begun 1', complete: true });
  });

  it('loses no request under load', async () => {
    expect(await text('/during')).toBe('1');
    const load = new SteadyLoad(server.url('/during'));
    server.writeApp('during.py', version('2'));
    await becomes('/during', '2', ['1']);
    await sleep(300);
    const outcome = await load.stop();
    expect(outcome.lost).toEqual([]);
  });

  it('several times in a row ends with the last one', async () => {
    expect(await text('/often')).toBe('1');
    for (const number of ['2', '3', '4', '5']) {
      server.writeApp('often.py', version(number));
      await sleep(150);
    }
    await becomes('/often', '5', ['1', '2', '3', '4']);
  });

  it('is left alone with WSGIScriptReloading Off', async () => {
    expect(await text('/fixed')).toBe('1');
    server.writeApp('fixed.wsgi', version('2'));
    await sleep(1200);
    expect(await text('/fixed')).toBe('1');
  });

  it('keeps serving while its file is away', async () => {
    expect(await text('/removed')).toBe('1');
    rmSync(server.app('removed.py'));
    await sleep(600);
    expect(['1', 'status 404']).toContain(await text('/removed'));
    server.writeApp('removed.py', version('2'));
    await becomes('/removed', '2', ['1', 'status 404']);
  });
});
