/** wsgiref.validate and Werkzeug's LintMiddleware between the server and every test application that keeps the rules: both are silent. */
import { describe, expect, it } from 'vitest';
import { type HttpdServer, useServer } from '../harness/index.js';

const files = [
  ...['wsgi_gated.py', 'wsgi_calling.py', 'wsgi_results.py', 'wsgi_environ.py', 'wsgi_start.py', 'wsgi_framing.py', 'wsgi_ends.py', 'wsgi_expect.py', 'wsgi_extensions.py'],
  ...['wsgi_middleware.py', 'wsgi_callables.py', 'wsgi_notes.py', 'input_lab.py', 'file_lab.py'],
];
const directives = (server: HttpdServer) => [
  `WSGIScriptAlias /gate ${server.app('wsgi_gated.py')}`,
  `SetEnv test.file "${server.writeFile('files/data.bin', Buffer.alloc(200_000, 'd'))}"`,
];

interface Case {
  path: string;
  method?: string;
  body?: string;
  /** Sent in chunks. */
  chunked?: boolean;
  status?: number;
  text?: string | RegExp;
}

const kinds = ['list', 'tuple', 'one_block', 'one_block_tuple', 'empty_blocks', 'empty_first', 'iterator', 'generator', 'deque', 'custom_iterator', 'falsy', 'lazy_list'];
const callables = ['function', 'lambda_function', 'generator', 'instance', 'bound_method', 'partial', 'class_that_iterates', 'call_only'];

/** Script, callable and query of applications that keep the rules. */
const lawful: Case[] = [
  ...['show_environ', 'show_url', 'show_method', 'describe_environ', 'mutate_environ'].map((name) => ({ path: `wsgi_environ/${name}/some/path?q=1` })),
  ...callables.map((name) => ({ path: `wsgi_calling/${name}`, text: `${name} GET` })),
  ...kinds.map((kind) => ({ path: `wsgi_results/result?${kind}`, text: 'one two three' })),
  ...['list', 'tuple', 'iterator'].map((kind) => ({ path: `wsgi_results/empty_result?${kind}`, text: '' })),
  ...['first_step', 'first_next', 'in_iter'].map((kind) => ({ path: `wsgi_results/late_start?${kind}`, status: 202, text: 'late' })),
  { path: 'wsgi_calling/count_arguments' },
  { path: 'wsgi_calling/write_halves?mark=m', text: 'written' },
  { path: 'wsgi_calling/upper_case_middleware', status: 203, text: /TWO CALLABLES/ },
  { path: 'wsgi_callables/application', text: 'application' },
  { path: 'wsgi_start/constant_headers?70000' },
  { path: 'wsgi_start/own_date', text: 'dated' },
  { path: 'wsgi_framing/hello', text: 'Hello from Python\n' },
  ...['list', 'write', 'async', 'paced', 'iterator'].flatMap((kind) => [
    { path: `wsgi_framing/told_length?kind=${kind}&blocks=2`, text: '0000011111' },
    { path: `wsgi_framing/told_length?kind=${kind}&blocks=2&length=10`, text: '0000011111' },
    { path: `wsgi_framing/told_length?kind=${kind}&blocks=0&length=0`, text: '' },
  ]),
  ...['normal', 'list'].map((how) => ({ path: `wsgi_ends/ends_somehow?how=${how}` })),
  ...['descriptor', 'object'].map((source) => ({ path: `wsgi_ends/file_served?source=${source}`, text: /^d{200000}$/ })),
  { path: 'wsgi_expect/ignore_body?q', method: 'POST', body: 'abc', text: 'ignored POST q' },
  ...[false, true].flatMap((chunked) => [
    { path: 'wsgi_expect/echo_body', method: 'POST', body: 'some\nbody', chunked, text: 'some\nbody' },
    { path: 'wsgi_expect/digest_body', method: 'PUT', body: 'abc', chunked, text: /ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/ },
    { path: 'input_lab/digest?sized', method: 'POST', body: 'a\nb\n', chunked },
  ]),
  { path: 'wsgi_extensions/application', text: 'the answer' },
  { path: 'wsgi_extensions/application?kind=two', text: 'the answer' },
  ...['upperCase', 'collecting'].map((kind) => ({ path: `wsgi_middleware/application?pause=0&kind=${kind}`, text: /^one two three$/i })),
  { path: 'wsgi_middleware/application?kind=closing', text: 'xxyy' },
  { path: 'wsgi_middleware/application?pause=0&kind=heading', status: 201, text: 'one two three' },
  ...['open', 'raw', 'bytes', 'temporary', 'proxy'].map((source) => ({ path: `file_lab/application?source=${source}`, text: /^d{200000}$/ })),
  { path: 'file_lab/application?then=wrap', text: /^d{200000}$/ },
];

/** Of the standard library's validator alone: Werkzeug's counts what it hands over, also where nothing may be sent. */
const lawfulForValidator: Case[] = [
  { path: 'wsgi_framing/hello', method: 'HEAD', text: '' },
  { path: 'wsgi_framing/told_length?kind=list&blocks=2&length=10', method: 'HEAD', text: '' },
  { path: 'wsgi_framing/told_length?kind=async&blocks=2', method: 'HEAD', text: '' },
  { path: 'wsgi_framing/told_length?kind=async&blocks=4&length=10', text: '0000011111' },
  ...['readline', 'short-lines', 'lines'].map((way) => ({ path: `input_lab/digest?${way}`, method: 'POST', body: 'a\nb\n' })),
  { path: 'file_lab/application?source=object', text: /^d{200000}$/ },
];

const complaint = /WSGIWarning|HTTPWarning|AssertionError|garbage collected|NWSGI2\d\d\d/;

describe('validators around Python applications', () => {
  const server = useServer({ apps: files, directives });

  /** The answers through these gates; fails for anything that one of them says. */
  async function through(gates: readonly string[], { path, method = 'GET', body, chunked = false, status = 200, text }: Case): Promise<void> {
    const since = server.mark();
    for (const gate of gates) {
      const sent = chunked && body !== undefined ? (async function* () { yield* body; })() : body;
      const response = await server.request(`/gate/${gate}/${path}`, { method, ...(sent === undefined ? {} : { body: sent }) });
      expect(response.status, `${gate}: ${server.log(since)}`).toBe(status);
      expect(response.complete).toBe(true);
      if (text instanceof RegExp) expect(response.text).toMatch(text);
      else if (text !== undefined) expect(response.text).toBe(text);
    }
    await server.get('/gate/collect'); // Complaints about objects that were not closed.
    expect(server.log(since).split('\n').filter((line) => complaint.test(line))).toEqual([]);
  }

  it.each(lawful.map((each) => [`${each.method ?? 'GET'} ${each.path}${each.chunked ? ', chunked' : ''}`, each] as const))('have nothing to say about %s', async (_, each) => {
    await through(['validate', 'lint', 'both'], each);
  });

  it.each(lawfulForValidator.map((each) => [`${each.method ?? 'GET'} ${each.path}`, each] as const))('wsgiref.validate has nothing to say about %s', async (_, each) => {
    await through(['validate'], each);
  });

  it('would be heard', async () => {
    const since = server.mark();
    expect((await server.get('/gate/validate/unlawful/no_content_type')).status).toBe(500);
    await server.expectLog(/NWSGI2201[^\n]*AssertionError: No Content-Type header/, { since });
    await server.get('/gate/lint/unlawful/short');
    await server.expectLog(/WSGIWarning: Content-Length and the number of bytes sent/, { since });
    await server.get('/gate/lint/input_lab/digest?read');
    await server.expectLog(/WSGIWarning: WSGI does not guarantee an EOF marker/, { since });
  });
});
