/** print, sys.stderr, logging and warnings of Python applications in Apache's error log (W-61…W-64). */
import { describe, expect, it } from 'vitest';
import { daemon, useServer } from '../harness/index.js';
import { newRun } from '../support/mounts.js';

// Without an id, httpd leaves the rest of its field out, too.
const format = 'ErrorLogFormat "[%-m:%l] [id %L] %M"';

interface Line {
  level: string;
  id: string;
  text: string;
}

describe('what an application of Python writes to the log', () => {
  const server = useServer({
    apps: ['writes_logs.py'],
    logLevel: 'debug',
    directives: (s) => [format, `WSGIScriptAlias / "${s.app('writes_logs.py')}"`],
  });

  /** The lines with the mark, after a last one with `end` was seen. */
  const write = async (kind: string, end: RegExp | string) => {
    const since = server.mark();
    const mark = `m${newRun()}m`;
    const response = await server.get(`/?${kind}=${mark}`);
    expect(response.status).toBe(200);
    await server.expectLog(end, { since });
    const all = server.log(since).split('\n').map((line): Line => {
      const [, level = '', id = '', text = line] = /^(?:\[[^\]]*\] )?\[nwsgi:(\w+)\] \[p?id (?:(\S+)\] )?(.*)$/.exec(line) ?? [];
      return { level, id, text: text.replace(/^\[client [^\]]*\] /, '') };
    });
    const lines = all.filter(({ text }) => text.includes(mark));
    return { id: response.json() as string, mark, lines, all, short: lines.map(({ level, text }) => `${level} ${text.slice(text.indexOf(mark) + mark.length + 1)}`) };
  };

  it('while it is loaded is there, with the level notice', async () => {
    await server.get('/');
    await server.expectLog(/\[nwsgi:notice\][^\n]* while it is loaded/);
  });

  it('by print() has the level notice, and the id of the request', async () => {
    const { lines, id } = await write('print', /without end/);
    expect(lines.map(({ text }) => text.replace(/^\S+ /, ''))).toEqual(['printed 1', 'without end']);
    for (const line of lines) expect(line).toMatchObject({ level: 'notice', id });
  });

  it('by sys.stderr and wsgi.errors has the level error', async () => {
    const { short, lines, id } = await write('stderr', / two/);
    expect(short).toEqual(['error one', 'error two']);
    expect(lines[0]?.id).toBe(id);
    expect((await write('errors', / errors/)).short).toEqual(['error errors']);
  });

  it('by logging has the level of its records, whatever handler writes them', async () => {
    const levels = ['debug debug', 'info info', 'warn warning', 'error error', 'crit critical', 'warn between'];
    const { short, lines, id } = await write('levels', / between/);
    expect(short).toEqual(levels);
    expect(lines[0]?.text).toMatch(/^app: m/);
    for (const line of lines) expect(line.id).toBe(id);
    expect((await write('direct', / between/)).short).toEqual(levels);
    expect((await write('proxy', / by a proxy/)).short).toEqual(['warn by a proxy']);
    expect((await write('own-handler', / by its own/)).short).toEqual(['warn by its own']);
    expect((await write('last-resort', / last resort/)).short).toEqual(['warn last resort']);
  });

  it('the level of a record is not that of what is written next', async () => {
    const { lines, all, mark } = await write('exception', / afterwards/);
    expect(lines.map(({ level }) => level)).toEqual(['error', 'notice']);
    const traceback = all.slice(all.findIndex(({ text }) => text.includes(`${mark} caught`)), all.findIndex(({ text }) => text.includes(`${mark} afterwards`)));
    expect(traceback.length).toBeGreaterThan(5);
    expect(traceback.at(-1)?.text).toBe('ZeroDivisionError: division by zero');
    for (const line of traceback) expect(line.level).toBe('error');
  });

  it('by warnings is a warning', async () => {
    const { short } = await write('warn', / careful/);
    expect(short[0]).toBe('warn careful');
    expect(short).toHaveLength(1);
  });

  it('by a thread of its own, whose exception is described in full, is no request\'s', async () => {
    const { lines, all } = await write('thread', /LookupError: \S+ of a thread/);
    expect(lines.map(({ level }) => level)).toEqual(['notice', ...lines.slice(1).map(() => 'error')]);
    if (!daemon) for (const line of lines) expect(line.id).toBe('');
    expect(all.some(({ text }) => text.includes('Exception in thread the-worker'))).toBe(true);
    expect(all.some(({ text }) => /File ".*writes_logs\.py", line \d+, in work/.test(text))).toBe(true);
  });

  it('by traceback.print_exc() and by a destructor is complete', async () => {
    const { all } = await write('traceback', /ZeroDivisionError/);
    expect(all.filter(({ level }) => level === 'error').map(({ text }) => text)).toContain('Traceback (most recent call last):');
    const { lines } = await write('unraisable', /LookupError: \S+ in a destructor/);
    expect(lines.every(({ level }) => level === 'error')).toBe(true);
  });

  it('W-62 may have any character, also lone surrogates', async () => {
    const { lines } = await write('odd', / end/);
    const text = (lines[0]?.text ?? '').replace(/(?:\\x[0-9a-f]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('\\x', ''), 'hex').toString());
    expect(text).toContain('caf\u00e9 \u65e5\u672c lone');
  });

  it('sys.stdout has what a text stream has', async () => {
    expect((await write('stream', / to LogStream, utf-8/)).short).toEqual(['notice a b', 'notice bytes', 'notice to LogStream, utf-8']);
  });
});
