/** Mercurial's hgweb: hg itself clones from it and pushes to it. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describePython, everyPlace, type PythonApp } from '../harness/python.js';

const run = promisify(execFile);
const hg = async (folder: string, ...args: string[]) =>
  (await run('/usr/bin/hg', ['--noninteractive', '--config', 'ui.username=A visitor', ...args], { cwd: folder, env: { PATH: '/usr/bin:/bin', HGRCPATH: '', HGPLAIN: '1', LANG: 'C.UTF-8' }, maxBuffer: 1 << 26 })).stdout;

const app: PythonApp = {
  name: 'hgweb',
  script: 'hgweb.wsgi',
  prepare: async (folder) => {
    const repository = join(folder, 'data', 'notes');
    mkdirSync(repository);
    await hg(repository, 'init');
    writeFileSync(join(repository, 'readme.txt'), 'First notes\n');
    await hg(repository, 'commit', '--addremove', '--message', 'The beginning – ä');
    const file = join(folder, 'hgweb.config');
    writeFileSync(file, readFileSync(file, 'utf8').replace('@DATA@', join(folder, 'data')));
    // Apache's children write into it.
    await run('chmod', ['-R', 'a+rwX', repository]);
  },
};

describePython(app, everyPlace, (target) => {
  let work: string;
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'nwsgi-hg-'));
  });
  afterAll(() => rmSync(work, { recursive: true, force: true }));
  const url = () => target.url('/notes');
  const copy = () => join(work, 'copy');

  it('shows the repository', async () => {
    const index = await target.get('/');
    expect([index.status, index.text]).toEqual([200, expect.stringContaining(`<a href="${target.path('/notes/')}">notes</a>`)]);
    const log = await target.get('/notes/');
    expect(log.text).toContain('The beginning – ä');
    expect((await target.get('/notes/raw-file/0/readme.txt')).text).toBe('First notes\n');
    const archive = await target.get('/notes/archive/0.zip');
    expect([archive.status, archive.headers['content-type'], archive.body.subarray(0, 2).toString()]).toEqual([200, 'application/zip', 'PK']);
    const style = await target.get('/static/style-paper.css');
    expect([style.status, style.headers['content-type']]).toEqual([200, 'text/css']);
    const fresh = await target.get('/notes/', { 'If-None-Match': log.headers.etag as string });
    expect(fresh.status).toBe(304);
    expect((await target.get('/nothing/')).status).toBe(404);
  });

  it('is cloned', async () => {
    await hg(work, 'clone', url(), 'copy');
    expect(await hg(copy(), 'cat', '--rev', '0', 'readme.txt')).toBe('First notes\n');
    await hg(work, 'clone', '--stream', url(), 'stream');
    expect(await hg(join(work, 'stream'), 'verify')).toContain('checked');
  });

  it('takes what is pushed, little and much', async () => {
    const large = randomBytes(6_000_000);
    writeFileSync(join(copy(), `large${target.mount.slice(1)}.bin`), large);
    writeFileSync(join(copy(), 'readme.txt'), `Notes by way of ${target.mount || '/'}\n`);
    await hg(copy(), 'commit', '--addremove', '--message', 'Much');
    expect(await hg(copy(), 'push')).toMatch(/remote: added 1 changesets with 2 changes to 2 files/);
    for (let number = 0; number < 2; number += 1) {
      writeFileSync(join(copy(), `note${number}.txt`), `${number} ${target.mount}\n`);
      await hg(copy(), 'commit', '--addremove', '--message', `Note ${number}`);
    }
    await hg(copy(), 'bookmark', `mark${target.mount.slice(1)}`);
    expect(await hg(copy(), 'push', '--bookmark', `mark${target.mount.slice(1)}`)).toContain('remote: added 2 changesets');

    await hg(work, 'clone', url(), 'again');
    expect(readFileSync(join(work, 'again', `large${target.mount.slice(1)}.bin`)).equals(large)).toBe(true);
    expect(await hg(join(work, 'again'), 'verify')).toContain('checked');
    expect(await hg(join(work, 'stream'), 'pull', '--update')).toMatch(/added 3 changesets/);
    expect(await hg(join(work, 'again'), 'log', '--limit', '1', '--template', '{desc}')).toBe('Note 1');
    expect(await hg(copy(), 'identify', '--id', url())).toBe(await hg(copy(), 'identify', '--id', '.'));
  }, 90_000);

  it('and says when there is nothing to push', async () => {
    await expect(hg(copy(), 'push')).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('no changes found') as string });
  });
});
