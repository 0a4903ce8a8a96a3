/** Nothing of a request stays in the interpreter when it is over, however it ended: neither as a leak nor as a cycle. */
import { describe, expect, it } from 'vitest';
import { head, sanitized, type HttpdServer, useServer } from '../harness/index.js';
import { laboratory, python } from '../support/language.js';

const requests = 100;

const fixtures = [
  ...['hello', 'told-length', 'told-result', 'start-as-told', 'replaced-answer', 'start-twice-uncaught', 'fails', 'ends-somehow', 'exits'],
  ...['echo-body', 'ignore-body', 'file-served', 'early-hints', 'show-environ', 'bad-block', 'write-then-list', 'describe-environ'],
];

const get = (path: string, method = 'GET') => head(`${method} ${path} HTTP/1.1`, 'Host: localhost');
const post = (path: string) => head(`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Length: 4') + 'body';
const told = (expression: string) => `/told-result?${encodeURIComponent(expression)}`;

/** A request, and the status of its answer. */
const cases: [what: string, bytes: string, status: number][] = [
  ['a list', get('/hello'), 200],
  ['a generator', get('/told-length?kind=async&blocks=3'), 200],
  ['a generator that is stopped', get('/told-length?kind=async&blocks=5&length=7'), 200],
  ['write()', get('/told-length?kind=write&blocks=3'), 200],
  ['an iterator with close()', get('/told-length?blocks=3'), 200],
  ['HEAD', get('/told-length?kind=async&blocks=3', 'HEAD'), 200],
  ['a refused status', get(`/start-as-told?${encodeURIComponent('["bad", []]')}`), 200],
  ['refused headers', get(`/start-as-told?${encodeURIComponent('["200 OK", [("a", "b"), ("X Y", 5)]]')}`), 200],
  ['exc_info', get('/replaced-answer'), 503],
  ['a second start_response', get('/start-twice-uncaught'), 500],
  ['an exception', get('/fails?when=before-start'), 500],
  ['an exception in a generator', get('/fails?when=first-block'), 500],
  ['sys.exit()', get('/exits?exit'), 500],
  ['None', get(told('None')), 500],
  ['a bare text', get(told('"x"')), 500],
  ['a wrong block', get('/bad-block?where=list&value=5'), 500],
  ['no iterable, with close()', get('/ends-somehow?how=no-iterable'), 500],
  ['a body that is read', post('/echo-body'), 200],
  ['a body that is not read', post('/ignore-body'), 200],
  ['a file', get('/file-served?source=descriptor'), 200],
  ['an object with read()', get('/file-served?source=object'), 200],
  ['early hints', get('/early-hints'), 200],
  ['an environ with many variables', head('GET /show-environ?q HTTP/1.1', 'Host: localhost', ...Array.from({ length: 30 }, (_, i) => `X-H${i}: value ${i}`)), 200],
];

describe('what stays of requests to Python applications', () => {
  const server = useServer({
    ...laboratory(python, fixtures, { directives: (s) => [`WSGIScriptAlias /blocks ${s.app('wsgi_blocks.py')}`, `SetEnv test.file "${s.writeFile('files/data.bin', 'data')}"`], apps: ['wsgi_blocks.py'] }),
    threads: 4,
  });

  /** One after the other on one connection, so that all of them meet the same thread or a few. */
  async function send(target: HttpdServer, bytes: string, status: number, count: number): Promise<void> {
    const method = /^\w+/.exec(bytes)?.[0] ?? 'GET';
    let answered = 0;
    while (answered < count) {
      const client = await target.raw();
      await client.send(bytes.repeat(20));
      for (let i = 0; i < 20; i++) {
        const { response } = await client.readFinalResponse({ method });
        expect(response.status).toBe(status);
        answered += 1;
        if (response.header('connection') === 'close') break;
      }
      client.close();
    }
  }

  const look = async (query = '') => (await server.get(`/blocks${query}`)).text.split(' ').map(Number) as [blocks: number, cycles: number, descriptors: number];

  /** More blocks in use after so many requests. What is filled once — caches, free lists, threads' own — does not count: the least of some tries. */
  async function growth(bytes: string, status: number): Promise<number> {
    await send(server, bytes, status, 40);
    let [before] = await look();
    let least = Infinity;
    for (let attempt = 0; attempt < 12 && least >= requests / 2; attempt++) {
      await send(server, bytes, status, requests);
      const [after] = await look();
      least = Math.min(least, after - before);
      before = after;
    }
    return least;
  }

  it.skipIf(sanitized).each(cases)('nothing after %s', async (_, bytes, status) => {
    const [, , descriptors] = await look('?collect');
    // One object for each request would be as many or more.
    expect(await growth(bytes, status)).toBeLessThan(requests / 2);
    const [, cycles, more] = await look('?collect');
    expect(cycles).toBeLessThan(requests / 2);
    expect(more - descriptors).toBeLessThan(10);
  });

  it('would be noticed', async () => {
    expect(await growth(get('/blocks?keep'), 200)).toBeGreaterThan(requests);
    await look('?collect');
    await send(server, get('/blocks?cycle'), 200, requests);
    expect((await look('?collect'))[1]).toBeGreaterThanOrEqual(requests);
  });
});
