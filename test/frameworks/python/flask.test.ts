/**
 * What quick/flask.test.ts does, in mod_wsgi too; and Werkzeug's LintMiddleware, which has nothing to say
 * about the server. (About Flask it has: that a HEAD has no body, a 204 a length, a Location no host, and that Flask reads a
 * terminated input to its end. That is left out.)
 */
import { describe, expect, it } from 'vitest';
import { describePython, everyPlace, type PythonTarget } from '../harness/python.js';
import { flask, flaskSuite } from '../suites/flask.js';

describePython(flask, everyPlace, flaskSuite);

const linted = (target: PythonTarget) => {
  it('has no complaints', async () => {
    const since = target.server.mark();
    for (const path of ['/', '/request?a=1', '/fresh', '/streams/lines', '/streams/sized', '/files/alphabet', '/files/memory', '/static/style.css', '/nothing', '/error']) {
      await target.get(path);
    }
    await target.get('/fresh', { 'If-None-Match': '"constant"' });
    await target.get('/files/alphabet', { Range: 'bytes=1-2' });
    await target.postForm('/form', new URLSearchParams({ a: 'b' }));
    const form = new FormData();
    form.set('file', new Blob(['x'.repeat(100_000)]), 'x.txt');
    expect((await target.postForm('/files/upload', form)).status).toBe(201);
    expect((await target.post('/files/echo', 'x'.repeat(100_000))).text).toHaveLength(100_000);
    await target.post('/files/lines', 'one\ntwo');
    await target.get('/print');
    await target.server.expectLog(/told to wsgi\.errors/, { since });
    expect(target.server.log(since).split('\n').filter((line) => line.includes('Warning'))).toEqual([]);
  });
};

describe('with LintMiddleware', () => describePython({ ...flask, script: 'linted.wsgi' }, everyPlace, linted));
