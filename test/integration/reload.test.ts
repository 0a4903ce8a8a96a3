// A script whose file changed: the old environment serves until the new one is ready; a broken one changes nothing.
import { mkdirSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sleep, useServer, waitFor } from './harness/index.js';
import { SteadyLoad } from './harness/steady-load.js';

/** Source of an application that answers with `text`; `before` runs while it is loaded. */
const version = (text: string, before = ''): string => `${before}
const instance = Math.random();
export function application(environ, startResponse) {
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return [environ.PATH_INFO === '/instance' ? String(instance) : ${JSON.stringify(text)}];
}
`;

const asCommonJs = (text: string) => `exports.application = (environ, startResponse) => (startResponse('200 OK', []), [${JSON.stringify(text)}]);\n`;
const asTypeScript = (text: string) => `import type { Environ, StartResponse } from 'nwsgi';
export const application = (environ: Environ, startResponse: StartResponse): string[] => (startResponse('200 OK', []), [${JSON.stringify(text)}]);
`;

const names = ['edited', 'slow', 'broken', 'in-flight', 'touched', 'renamed', 'removed', 'first-broken', 'needs-file', 'during', 'often', 'loaded', 'with-helper', 'noisy'];

const server = useServer(
  {
    apps: ['holds-response-open.mjs'],
    threads: 16,
    directives: (s) => [
      ...names.map((name) => `WSGIScriptAlias /${name} ${s.app(`${name}.mjs`)}`),
      `WSGIScriptAlias /cjs ${s.app('edited.cjs')}`,
      `WSGIScriptAlias /ts ${s.app('edited.ts')}`,
      `WSGIScriptAlias /fixed ${s.app('fixed.mjs')}`,
      '<Location "/fixed">\nWSGIScriptReloading Off\n</Location>',
      ...['one', 'two'].map((name) => `WSGIScriptAlias /both-${name} ${s.app(`both-${name}.mjs`)} application-group=both`),
      ...['good', 'bad'].map((name) => `WSGIScriptAlias /mixed-${name} ${s.app(`mixed-${name}.mjs`)} application-group=mixed`),
    ],
  },
  (s) => {
    for (const name of [...names, 'fixed', 'both-one', 'both-two', 'mixed-good']) s.writeApp(`${name}.mjs`, version('1'));
    s.writeApp('edited.cjs', asCommonJs('1'));
    s.writeApp('edited.ts', asTypeScript('1'));
  },
);

const text = async (path: string) => {
  const response = await server.get(path);
  return response.status === 200 ? response.text : `status ${response.status}`;
};
/** Waits for an answer; every answer on the way has to be one of `others`. */
async function becomes(path: string, wanted: string, others: string[], milliseconds = 10_000): Promise<void> {
  await waitFor(
    `${path} to answer "${wanted}"`,
    async () => {
      const seen = await text(path);
      if (seen !== wanted) expect(others).toContain(seen);
      return seen === wanted;
    },
    milliseconds,
    30,
  );
}

describe('a changed script', () => {
  it.each([
    ['/edited', 'edited.mjs', (v: string) => version(v)],
    ['/cjs', 'edited.cjs', asCommonJs],
    ['/ts', 'edited.ts', asTypeScript],
  ])('at %s is served fresh within seconds (%s)', async (path, file, source) => {
    expect(await text(path)).toBe('1');
    server.writeApp(file, source('two'));
    await becomes(path, 'two', ['1'], 5000);
  });

  it('that loads slowly leaves the old version serving, promptly, until it is ready', async () => {
    expect(await text('/slow')).toBe('1');
    const changed = performance.now();
    const load = new SteadyLoad(server.url('/slow'), { kept: 2, fresh: 1, pause: 5 });
    server.writeApp('slow.mjs', version('2', 'await new Promise((resolve) => setTimeout(resolve, 1500));'));
    await becomes('/slow', '2', ['1']);
    expect(performance.now() - changed).toBeGreaterThan(1400);
    const { lost, bodies, slowest } = await load.stop();
    expect(lost).toEqual([]);
    expect([...bodies.keys()]).toEqual(['1', '2']);
    expect(slowest).toBeLessThan(1200);
    expect(bodies.get('1')).toBeGreaterThan(20);
  });

  it('that is changed again while it loads is served in its last version', async () => {
    expect(await text('/during')).toBe('1');
    const since = server.mark();
    server.writeApp('during.mjs', version('2', 'await new Promise((resolve) => setTimeout(resolve, 1000));'));
    await server.expectLog(/during\.mjs changed/, { since });
    await sleep(200);
    server.writeApp('during.mjs', version('3'));
    await becomes('/during', '3', ['1', '2']);
    await sleep(500);
    expect(await text('/during')).toBe('3');
  });

  it('that is changed many times in a row is served in its last version', async () => {
    expect(await text('/often')).toBe('1');
    for (let i = 2; i <= 12; i++) {
      server.writeApp('often.mjs', version(String(i)));
      await sleep(60);
    }
    await becomes('/often', '12', Array.from({ length: 12 }, (_, i) => String(i + 1)));
  });

  it('that was only touched, or replaced by a rename, gets a fresh environment', async () => {
    const first = await text('/touched/instance');
    const time = new Date(Date.now() - 60_000);
    utimesSync(server.app('touched.mjs'), time, time);
    await waitFor('a fresh environment', async () => (await text('/touched/instance')) !== first);

    expect(await text('/renamed')).toBe('1');
    mkdirSync(server.app('new'), { recursive: true });
    // An older file of the same size: only its inode and time differ.
    const replacement = server.writeApp('new/renamed.mjs', version('2'));
    utimesSync(replacement, time, time);
    renameSync(replacement, server.app('renamed.mjs'));
    await becomes('/renamed', '2', ['1']);
  });

  it('brings its other modules along in their newest state', async () => {
    server.writeApp('helper.mjs', `export const text = 'old helper';\n`);
    server.writeApp('with-helper.mjs', `import { text } from './helper.mjs';\n${version('')}`.replace('""', 'text'));
    await becomes('/with-helper', 'old helper', ['1', 'status 500']);
    server.writeApp('helper.mjs', `export const text = 'new helper';\n`);
    await sleep(150);
    const now = new Date();
    utimesSync(server.app('with-helper.mjs'), now, now);
    await becomes('/with-helper', 'new helper', ['old helper']);
  });

  it('takes along the other scripts of its group', async () => {
    const other = await text('/both-two/instance');
    expect(await text('/both-one')).toBe('1');
    server.writeApp('both-one.mjs', version('2'));
    await becomes('/both-one', '2', ['1']);
    expect(await text('/both-two')).toBe('1');
    expect(await text('/both-two/instance')).not.toBe(other);
  });

  it('is not looked at where WSGIScriptReloading is off', async () => {
    expect(await text('/fixed')).toBe('1');
    server.writeApp('fixed.mjs', version('2'));
    await sleep(1000);
    expect(await text('/fixed')).toBe('1');
  });

  it('that is removed never makes the server fail, and is served when it is back', async () => {
    expect(await text('/removed')).toBe('1');
    rmSync(server.app('removed.mjs'));
    for (let i = 0; i < 10; i++) {
      expect(['1', 'status 404']).toContain(await text('/removed'));
      await sleep(60);
    }
    server.writeApp('removed.mjs', version('back'));
    await becomes('/removed', 'back', ['1', 'status 404']);
  });
});

describe('the old environment', () => {
  it('ends: its timers stop, and its listeners for SIGTERM and exit run once', async () => {
    const noisy = `setInterval(() => console.error('tick of the old one'), 50);
process.on('SIGTERM', () => console.error('SIGTERM of the old one'));
process.on('exit', () => console.error('exit of the old one'));`;
    server.writeApp('noisy.mjs', version('1', noisy));
    const since = server.mark();
    expect(await text('/noisy')).toBe('1');
    await server.expectLog(/tick of the old one/, { since });
    server.writeApp('noisy.mjs', version('2'));
    await becomes('/noisy', '2', ['1']);
    await server.expectLog(/exit of the old one/, { since, milliseconds: 5000 });
    const ended = server.mark();
    await sleep(400);
    expect(server.log(ended)).not.toContain('of the old one');
    expect(server.log(since).match(/SIGTERM of the old one/g)).toHaveLength(1);
    expect(server.log(since).match(/exit of the old one/g)).toHaveLength(1);
    expect(await text('/noisy')).toBe('2');
  });
});

describe('requests in progress', () => {
  it('of the old version are finished by it', async () => {
    server.addApp('holds-response-open.mjs');
    renameSync(server.app('holds-response-open.mjs'), server.app('in-flight.mjs'));
    await waitFor('the streaming version', async () => (await text('/in-flight?1')) === 'begin end');
    const slow = server.get('/in-flight?2500');
    await sleep(200);
    server.writeApp('in-flight.mjs', version('2'));
    await becomes('/in-flight', '2', ['begin end'], 8000);
    const answer = await slow;
    expect(answer).toMatchObject({ status: 200, text: 'begin end', complete: true });
  });

  it('are not lost while a script changes ten times under load', async () => {
    expect(await text('/loaded')).toBe('1');
    const load = new SteadyLoad(server.url('/loaded'), { check: (body) => (/^\d+$/.test(body) ? undefined : `body ${body}`) });
    for (let i = 2; i <= 11; i++) {
      server.writeApp('loaded.mjs', version(String(i)));
      await becomes('/loaded', String(i), [String(i - 1)]);
    }
    const { requests, lost } = await load.stop();
    expect(lost).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  });
});

describe('a new version that does not load', () => {
  const kinds: [string, string, RegExp][] = [
    ['has a syntax error', 'export function application( {', /NWSGI3013|NWSGI2102/],
    ['throws', version('never', `throw new Error('the reason');`), /the reason/],
    ['imports what is not there', version('never', `import './no-such-module.mjs';`), /no-such-module/],
    ['exports no callable', 'export const something = 1;\n', /NWSGI2103[^]*NWSGI3013/],
    ['ends the process', version('never', 'process.exit(1);'), /NWSGI3013/],
  ];

  it.each(kinds)('because it %s leaves the old one serving and logs the reason; a corrected one takes over', async (_, source, reason) => {
    const good = version(`good ${Math.random()}`);
    const text1 = /good [\d.]+/.exec(good)?.[0] as string;
    server.writeApp('broken.mjs', good);
    await waitFor('the good version', async () => (await text('/broken')) === text1);
    const since = server.mark();
    const load = new SteadyLoad(server.url('/broken'), { kept: 1, fresh: 1, pause: 10 });
    server.writeApp('broken.mjs', source);
    await server.expectLog(/NWSGI3013.*old version goes on serving/, { since });
    expect(server.log(since)).toMatch(reason);
    await sleep(400);
    const { lost, bodies } = await load.stop();
    expect(lost).toEqual([]);
    expect([...bodies.keys()]).toEqual([text1]);
    // It is not tried again and again while it stays as it is.
    expect(server.log(since).match(/NWSGI3013/g)).toHaveLength(1);
    server.writeApp('broken.mjs', version('corrected'));
    await becomes('/broken', 'corrected', [text1]);
  });
});

describe('a first version that does not load', () => {
  it('answers 500 until the file is corrected', async () => {
    server.writeApp('first-broken.mjs', 'this is no JavaScript');
    expect(await text('/first-broken')).toBe('status 500');
    expect(await text('/first-broken')).toBe('status 500');
    server.writeApp('first-broken.mjs', version('corrected'));
    await becomes('/first-broken', 'corrected', ['status 500'], 5000);
  });

  it('is tried again after a pause when what it needs has appeared elsewhere', async () => {
    server.writeApp('needs-file.mjs', version('found', `import './appears-later.mjs';`));
    expect(await text('/needs-file')).toBe('status 500');
    server.writeApp('appears-later.mjs', '');
    await becomes('/needs-file', 'found', ['status 500'], 8000);
  });

  it('does not disturb the other scripts of its group, and is served when it is corrected', async () => {
    const instance = await text('/mixed-good/instance');
    server.writeApp('mixed-bad.mjs', 'this is no JavaScript');
    expect(await text('/mixed-bad')).toBe('status 500');
    expect(await text('/mixed-good/instance')).toBe(instance);
    server.writeApp('mixed-bad.mjs', version('corrected'));
    await becomes('/mixed-bad', 'corrected', ['status 500'], 8000);
    expect(await text('/mixed-good')).toBe('1');
  });
});
