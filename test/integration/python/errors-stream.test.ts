/** wsgi.errors, sys.stdout and sys.stderr of Python (W-61…W-64). */
import { describe, expect, it } from 'vitest';
import { useServer, waitFor, type HttpdServer } from '../harness/index.js';
import { newRun } from '../support/mounts.js';

const format = 'ErrorLogFormat "[%{u}t] [%-m:%l] [pid %P] [id %L] %M"';
const apps = ['log_lab.py', 'wsgi_notes.py'];
const directives = (s: HttpdServer) => [
  format,
  `WSGIScriptAlias /log ${s.app('log_lab.py')}`,
  `WSGIScriptAlias /keep ${s.app('log_lab.py')} callable-object=keep`,
];

interface Answer {
  id: string;
  result: unknown;
}

/** Lets the application write, and waits until `last` (the mark without it) is in the log. */
function writer(server: HttpdServer) {
  return async (to: string, kind: string, last = '') => {
    const since = server.mark();
    const mark = `m${newRun()}m`;
    const response = await server.get(`/log?to=${to}&kind=${kind}&mark=${mark}`);
    expect(response.status).toBe(200);
    await server.expectLog(`${mark}${last}`, { since });
    const lines = server.log(since).split('\n').filter((line) => line.includes(mark));
    const texts = lines.map((line) => line.slice(line.indexOf(mark) + mark.length).trim());
    return { mark, lines, texts, since, ...(response.json() as Answer) };
  };
}

describe('the log', () => {
  const server = useServer({ apps, directives });

  it('what a script prints while it is loaded is logged', async () => {
    await server.get('/log?kind=nothing');
    await server.expectLog(/\[nwsgi:notice\].*log_lab is loaded/);
    await server.expectLog(/\[nwsgi:notice\].*log_lab has no end/);
  });

  it('wsgi.errors of a request that is over still leads to the log', async () => {
    await server.get('/keep?mark=first');
    const since = server.mark();
    await server.get('/keep?mark=second');
    await server.expectLog(/\[nwsgi:error\].*second late/, { since });
  });

  describe.each([
    ['errors', 'error', 'wsgi.errors'],
    ['stdout', 'notice', '<stdout>'],
    ['stderr', 'error', '<stderr>'],
  ])('%s', (to, level, name) => {
    const write = (kind: string, last = '') => writer(server)(to, kind, last);

    it('W-61 W-63 write, writelines and flush put each line on a line of its own, with the request\'s id; the unfinished one at its end', async () => {
      const { lines, texts, id } = await write('order', ' five');
      expect(texts).toEqual(['one', 'two', 'three', 'four', 'five, unfinished']);
      expect(id).toMatch(/^\S{5,}$/);
      for (const line of lines) {
        expect(line).toContain(`[id ${id}]`);
        expect(line).toContain(`[nwsgi:${level}]`);
      }
    });

    it('W-62 accepts any character, and says how many it was given', async () => {
      const { lines, mark, result } = await write('characters');
      expect(lines).toHaveLength(1);
      expect(result).toBe(`${mark} 日本 x café lone x end\n`.length);
      // httpd writes bytes above 0x7E as \xNN, and a backslash as two.
      const text = (lines[0] as string).replace(/(?:\\x[0-9a-f]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('\\x', ''), 'hex').toString());
      expect(text).toContain(`${mark} 日本 \u{1f600} café lone \\\\ud800 end`);
    });

    it('W-63 line ends are converted, and nobody can forge a log line or a terminal sequence', async () => {
      const { lines, texts } = await write('controls', ' last');
      expect(lines).toHaveLength(4);
      for (const line of lines) {
        expect(line).toMatch(/^\[[^\]]+\] \[nwsgi:\w+\] \[pid/);
        expect(line).not.toMatch(/[\x00-\x08\x0b-\x1f]/);
      }
      expect(texts[0]).toBe('crlf');
      expect(texts[1]).toMatch(/^nul.*end$/);
      expect(texts[2]).toBe('[fake] line');
    });

    it('W-64 parts of lines from requests at the same time do not mix', async () => {
      const since = server.mark();
      const marks = Array.from({ length: 6 }, () => `h${newRun()}h`);
      await Promise.all(marks.map((mark) => server.get(`/log?to=${to}&kind=halves&mark=${mark}`)));
      for (const mark of marks) await server.expectLog(`${mark}a ${mark}b ${mark}c ${mark}d ${mark}e ${mark}f end`, { since });
    });

    it('W-61 a very long line is logged in pieces, none of it lost', async () => {
      const since = server.mark();
      const { mark } = await write('long');
      await server.expectLog(/ tail/, { since });
      const text = server.log(since);
      expect(text.slice(text.indexOf(mark)).match(/l{100}/g)?.length).toBeGreaterThanOrEqual(1450);
    });

    it('W-61 what is no str is refused with TypeError, and nothing is logged for nothing', async () => {
      const since = server.mark();
      const refused = (await server.get(`/log?to=${to}&kind=refused`)).json() as Answer;
      expect(refused.result).toEqual(Array(6).fill('TypeError'));
      await server.get(`/log?to=${to}&kind=nothing`);
      await write('several');
      expect(server.log(since).match(new RegExp(`nwsgi:${level}`, 'g'))).toHaveLength(3);
    });

    it('a traceback is logged whole, in order', async () => {
      const { since, mark } = await write('raised');
      const lines = server.log(since).split('\n').filter((line) => line.includes(`[nwsgi:${level}]`));
      expect(lines.map((line) => line.replace(/^.*?\] (?=[^[]*$)/, '').trim())).toEqual([
        'Traceback (most recent call last):',
        expect.stringMatching(/^File ".*log_lab\.py", line \d+, in raised$/),
        'raise ValueError(mark)',
        `ValueError: ${mark}`,
      ]);
    });

    it('buffer takes bytes, also behind a text stream of the application, whose end closes nothing', async () => {
      const { texts } = await write('to_bytes', ' still open');
      expect(texts).toEqual(['bytes caf\\xc3\\xa9', 'half and half', 'wrapped', 'still open']);
    });

    it('has what libraries look for in a text stream', async () => {
      const facts = ((await server.get(`/log?to=${to}&kind=facts`)).json() as Answer).result;
      expect(facts).toEqual({
        ...{ name, encoding: 'utf-8', errors: 'backslashreplace', mode: 'w', closed: false, line_buffering: true, newlines: null },
        ...{ isatty: false, readable: false, writable: true, seekable: false, fileno: 'int', text: true, close: null, reconfigure: null, after: 0 },
        buffer: ['wb', true, false, false],
      });
    });

    it('threads of the application reach the log, also with what they leave unfinished', async () => {
      const { lines } = await write('in_thread', ' unfinished of a thread');
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(line).toContain(`[nwsgi:${level}]`);
    });

    it('a forked child writes to standard error, and does not repeat what its parent has begun', async () => {
      const { texts, mark } = await write('in_child', ' parent, 7');
      expect(texts.filter((text) => text.startsWith('parent'))).toEqual(['parent, 7']);
      // Standard error of a server that runs in the foreground is its terminal, that of a worker leads to the error log.
      await waitFor('the words of the child', () => server.output().includes(`${mark} child`) && server.output().includes(`${mark} unfinished child`));
    });
  });
});
