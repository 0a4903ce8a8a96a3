/** The module mod_wsgi: what it says, events, request_data, metrics, and the end of the process. */
import { existsSync, readFileSync, writeFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { daemon, processGroup, sleep, useServer, waitFor, withServer, type HttpdServer, type Options } from '../harness/index.js';

type Event = [string, Record<string, unknown>];

const threads = 3;
const notesFile = (s: HttpdServer) => join(s.root, 'notes');
const options: Options = {
  apps: ['mod_wsgi_user.py'],
  threads,
  daemonOptions: `threads=${threads}`,
  directives: (s) => {
    writeFileSync(notesFile(s), '');
    chmodSync(notesFile(s), 0o666);
    return [
      'ErrorLogFormat "[%-m:%l] [id %L] %M"',
      `WSGIApplicationEnv NOTES_FILE=${notesFile(s)}`,
      `WSGIScriptAlias / "${s.app('mod_wsgi_user.py')}" application-group=%{GLOBAL}`,
    ];
  },
};

describe('the module mod_wsgi', () => {
  const server = useServer(options);
  const ask = async (query: string) => (await server.get(`/?${query}`)).json() as never;
  const events = async (): Promise<Event[]> => ask('events');
  const eventsOf = async (query: string, body?: string) => {
    await events();
    const response = body === undefined ? await server.get(`/?${query}`) : await server.post(`/?${query}`, body);
    const told: Event[] = [];
    await waitFor('the end of the request', async () => {
      told.push(...(await events()));
      return told.some(([name]) => name === 'request_finished');
    });
    return { response, told, names: told.map(([name]) => name), of: (name: string) => told.find(([other]) => other === name)?.[1] ?? {} };
  };

  it('tells groups, versions and sizes', async () => {
    expect(await ask('module')).toMatchObject({
      version: [5, 0, 0],
      process_group: daemon ? processGroup : '',
      application_group: '',
      maximum_processes: 1,
      threads_per_process: threads,
      timeout: ['BaseException', 'mod_wsgi'],
      server_metrics: null,
      outside: 'this thread serves no request now',
      decorated: ['remember', 'stop', 'signalled'],
      callbacks: [2, 1],
      same_wrapper: true,
    });
    const { apache } = (await ask('module')) as { apache: [number[], string, number, number] };
    expect(apache).toEqual([[2, 4, expect.any(Number)], expect.stringMatching(/^Apache/), 1, threads]);
  });

  it('takes functions for signals, and says that it will never call them', async () => {
    await ask('module');
    await server.expectLog(/warn[\s\S]*NWSGI2608 subscribe_signals\(\) has no effect[\s\S]*mod_wsgi_user\.py/);
  });

  it('has a dict for each request', async () => {
    const [data, id] = (await ask('data')) as [Record<string, unknown>, string];
    expect(data).toEqual({ mine: 1, seen: ['request_started'], quiet: false });
    expect(id).toMatch(/^\S{5,}$/);
    expect(((await ask('data')) as [Record<string, unknown>])[0]).toEqual({ mine: 1, seen: ['request_started'], quiet: false });
  });

  it('lists the requests that are being served, each with its dict', async () => {
    const waiting = server.get('/?wait');
    const active = await waitFor('two requests', async () => {
      const found = (await ask('active')) as { requests: Record<string, unknown>; me: string; length: number };
      return found.length === 2 ? found : undefined;
    });
    expect(Object.keys(active.requests)).toContain(active.me);
    expect(Object.keys(active.requests)).toHaveLength(2);
    await ask('go');
    expect((await waiting).json()).toBe('waited');
  });

  it('tells of start, response and end of a request', async () => {
    const { names, of } = await eventsOf('echo', 'four');
    expect(names).toEqual(['request_started', 'response_started', 'request_finished']);
    const started = of('request_started');
    expect(started).toMatchObject({
      request_id: expect.stringMatching(/^\S{5,}$/),
      callable_object: 'application',
      application_object: 'function',
      request_environ: { QUERY_STRING: 'echo', REQUEST_METHOD: 'POST' },
    });
    expect(of('request_finished').request_data).toMatchObject({ seen: names });
    expect(started.thread_id).toBeGreaterThanOrEqual(1);
    expect(started.thread_id).toBeLessThanOrEqual(threads);
    expect(of('response_started')).toMatchObject({
      request_id: started.request_id,
      response_status: '200 OK',
      response_headers: [['Content-Type', 'application/json']],
      exception_info: null,
    });
    const finished = of('request_finished') as Record<string, number>;
    expect(finished).toMatchObject({ request_id: started.request_id, thread_id: started.thread_id, status: 200, input_length: 4, output_length: 6 });
    expect(finished.input_reads).toBeGreaterThanOrEqual(1);
    expect(finished.output_writes).toBeGreaterThanOrEqual(1);
    expect(finished.application_time).toBeCloseTo((finished.application_finish ?? 0) - (finished.application_start ?? 0), 3);
    expect(finished.cpu_time).toBeCloseTo((finished.cpu_user_time ?? 0) + (finished.cpu_system_time ?? 0), 6);
    expect(Math.abs((finished.request_start ?? 0) * 1000 - Date.now())).toBeLessThan(60_000);
  });

  it('tells of an exception, with all of it', async () => {
    const { response, names, of } = await eventsOf('raise');
    expect(response.status).toBe(500);
    expect(names).toEqual(['request_started', 'request_exception', 'request_finished']);
    expect(of('request_exception').exception_info).toEqual(['type', 'ValueError', 'traceback']);
    expect(of('request_finished').status).toBe(0);
  });

  it('lets a function replace the application for a request', async () => {
    const { response } = await eventsOf('wrapped');
    expect(response.text).toBe('wrapped ""');
  });

  it('a function that fails is logged and harms nobody', async () => {
    const since = server.mark();
    expect((await server.get('/?accepted')).status).toBe(202);
    await server.expectLog(/error[\s\S]*The function that is told of the event response_started failed[\s\S]*LookupError: a subscriber that fails/, { since });
  });

  it('counts requests once it was asked to', async () => {
    await ask('record');
    for (const query of ['a', 'sleep', 'raise']) await server.get(`/?${query}`);
    const [requests, total] = await waitFor('the counts', async () => {
      const [window, all] = (await ask('metrics')) as [Record<string, number>, Record<string, number>];
      return all.request_count !== undefined && all.request_count >= 3 ? [window, all] : undefined;
    });
    expect(requests).toMatchObject({ request_threads_maximum: threads, status_2xx: expect.any(Number), status_4xx: 0 });
    expect(total.request_count).toBeGreaterThanOrEqual(3);
    expect(total.request_busy_time).toBeGreaterThan(0.045);
    expect(total.memory_rss).toBeGreaterThan(5e6);
    const [second] = (await ask('metrics')) as [Record<string, number>];
    expect(second.request_count).toBeLessThanOrEqual(2);
    expect(second.capacity_utilization).toBeLessThan(1.01);
  });
});

const notesOf = (s: HttpdServer) => readFileSync(notesFile(s), 'utf8').trim().split('\n').map((line) => line.replace(/^\d+ /, ''));

/** Stops the server; its files stay. */
async function ended(s: HttpdServer): Promise<void> {
  await sleep(200);
  process.kill(s.pid, 'SIGTERM');
  await waitFor('the end of the server', () => !s.running, 10_000);
}

describe('the end of the process', () => {
  it.runIf(daemon)('by a changed script is called script_reload', async () => {
    await withServer(options, async (s) => {
      expect((await s.get('/?module')).status).toBe(200);
      s.writeApp('mod_wsgi_user.py', `${readFileSync(s.app('mod_wsgi_user.py'), 'utf8')}\n# changed\n`);
      await waitFor('the end of the old process', () => notesOf(s).includes('shutdown process_stopping script_reload'));
    });
  });

  it('by a graceful restart waits for requests in progress', async () => {
    await withServer(options, async (s) => {
      await s.get('/?module');
      const waiting = s.get('/?wait');
      await waitFor('the request', async () => ((await s.get('/?active')).json() as { length: number }).length === 2);
      const restarted = s.graceful();
      await sleep(500);
      expect(notesOf(s)).toEqual(['']);
      expect(await waiting).toMatchObject({ status: 200, text: '"waited"', complete: true });
      await restarted;
    });
  });

  it('is told to functions for it; then non-daemon threads are waited for, and atexit runs', async () => {
    let notes: string[] = [];
    await withServer(options, async (s) => {
      const served = (await s.get('/?module')).status;
      expect(served).toBe(200);
      await ended(s);
      expect(existsSync(notesFile(s))).toBe(true);
      notes = readFileSync(notesFile(s), 'utf8').trim().split('\n');
    });
    expect(notes.map((line) => line.replace(/^\d+ /, ''))).toEqual([
      'event process_stopping shutdown_signal',
      'shutdown process_stopping shutdown_signal',
      'thread ended',
      'atexit',
    ]);
    expect(new Set(notes.map((line) => line.split(' ')[0])).size).toBe(1);
  });
});
