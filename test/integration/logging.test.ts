/** wsgi.errors and what applications print (W-61…W-64). */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, useServer } from './harness/index.js';
import { appsServer, newRun } from './support/mounts.js';

const format = 'ErrorLogFormat "[%{u}t] [%-m:%l] [pid %P] [id %L] %M"';

describeEachMpm('wsgi.errors in every MPM', (mpm) => {
  const server = useServer(appsServer(['writes-errors.mjs'], { mpm }));

  it('W-61 lines reach the error log in order', async () => {
    const since = server.mark();
    await server.get('/writes-errors?kind=order&mark=marked');
    await server.expectLog(/marked five/, { since });
    expect([...server.log(since).matchAll(/marked (\w+)/g)].map((match) => match[1])).toEqual(['one', 'two', 'three', 'four', 'five']);
  });
});

describe('wsgi.errors', () => {
  const server = useServer(appsServer(['writes-errors.mjs', 'prints.cjs', 'told-result.mjs'], { directives: [format] }));

  const write = async (kind: string) => {
    const since = server.mark();
    const mark = `m${newRun()}m`;
    const response = await server.get(`/writes-errors?kind=${kind}&mark=${mark}`);
    await server.expectLog(mark, { since });
    const lines = server.log(since).split('\n').filter((line) => line.includes(mark));
    return { response, mark, lines };
  };

  it('W-61 W-63 write, writelines and flush put each line on a line of its own, the unfinished one at the end of the request', async () => {
    const { lines, mark } = await write('order');
    const texts = lines.map((line) => line.slice(line.indexOf(mark) + mark.length + 1));
    expect(texts.map((text) => text.trimEnd())).toEqual(['one', 'two', 'three', 'four', 'five, unfinished']);
  });

  it('W-61 the lines carry the request\'s id, which is environ["nwsgi.request_id"], and the module\'s name', async () => {
    const { lines, response } = await write('order');
    expect(response.text).toMatch(/^\S{5,}$/);
    for (const line of lines) {
      expect(line).toContain(`[id ${response.text}]`);
      expect(line).toMatch(/\[nwsgi:error\]/);
    }
  });

  it('W-62 accepts any character', async () => {
    const { lines, response, mark } = await write('unicode');
    expect(response.status).toBe(200);
    expect(lines).toHaveLength(1);
    // httpd writes bytes above 0x7E as \xNN.
    const text = (lines[0] as string).replace(/(?:\\x[0-9a-f]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('\\x', ''), 'hex').toString());
    expect(text).toContain(`${mark} \u65e5\u672c \u{1f600} caf\u00e9 lone \ufffd end`);
  });

  it('W-63 line ends are converted, and nobody can forge a log line or a terminal sequence', async () => {
    const { lines, mark } = await write('controls');
    expect(lines).toHaveLength(4);
    for (const line of lines) {
      expect(line).toMatch(/^\[[^\]]+\] \[nwsgi:error\] \[pid/);
      expect(line).not.toMatch(/[\x00-\x08\x0b-\x1f]/);
    }
    expect(lines[0]?.endsWith(`${mark} crlf`)).toBe(true);
    expect(lines[1]).toContain('nul');
    expect(lines[1]).toMatch(/end$/);
    expect(lines[2]).toContain(`${mark} [fake] line`);
  });

  it('W-64 parts of lines from requests at the same time do not mix', async () => {
    const since = server.mark();
    const marks = Array.from({ length: 6 }, () => `h${newRun()}h`);
    await Promise.all(marks.map((mark) => server.get(`/writes-errors?kind=halves&mark=${mark}`)));
    for (const mark of marks) await server.expectLog(`${mark}a ${mark}b ${mark}c ${mark}d ${mark}e ${mark}f end`, { since });
  });

  it('W-61 a very long line is logged in pieces, none of it lost', async () => {
    const since = server.mark();
    const { mark } = await write('long');
    await server.expectLog(/ tail/, { since });
    const text = server.log(since);
    expect(text.slice(text.indexOf(mark)).match(/l/g)?.length).toBeGreaterThanOrEqual(20_000);
  });

  it('W-61 lines come faster than the server takes them: each is logged once all the same', async () => {
    const since = server.mark();
    const { mark } = await write('many');
    const numbers = () => [...server.log(since).matchAll(new RegExp(`${mark} (\\d+) m{200}`, 'g'))].map((match) => Number(match[1]));
    await expect.poll(() => numbers().length, { timeout: 10_000 }).toBe(5000);
    expect(new Set(numbers()).size).toBe(5000);
  });

  it('W-61 a value that is no string does no harm', async () => {
    const { response } = await write('values');
    expect(response.status).toBe(200);
  });

  it('W-61 nothing is logged for nothing', async () => {
    const since = server.mark();
    await server.get('/writes-errors?kind=empty');
    await server.get('/told-result?["fence"]');
    expect(server.log(since)).not.toMatch(/nwsgi:error/);
  });

  it('console and process.stdout, process.stderr write whole lines to the error log', async () => {
    const since = server.mark();
    const mark = `p${newRun()}p`;
    const response = await server.get(`/prints?${mark}`);
    expect(response.json()).toEqual([false, 'number']);
    await server.expectLog(`${mark} bytes on stderr`, { since });
    const lines = server.log(since).split('\n');
    const line = (text: string) => lines.find((candidate) => candidate.endsWith(`${mark} ${text}`));
    expect(line('log { a: 1 }')).toMatch(/nwsgi:notice/);
    expect(line('error')).toMatch(/nwsgi:error/);
    expect(line('warn')).toMatch(/nwsgi:error/);
    expect(line('first line')).toMatch(/nwsgi:notice/);
    expect(line('second line')).toMatch(/nwsgi:notice/);
    expect(line('half and half')).toMatch(/nwsgi:notice/);
    expect(line('bytes on stderr')).toMatch(/nwsgi:error/);
  });
});
