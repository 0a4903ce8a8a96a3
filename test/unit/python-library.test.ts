/** The parts of nwsgi_host that need no server, in a plain Python. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const python = '/usr/bin/python3';
const library = resolve(dirname(fileURLToPath(import.meta.url)), '../../native/python/lib');

/** What the C++ side gives; streams are kept in `written`. */
const prelude = `
import json, sys, types
host = types.ModuleType('_nwsgi')
written = []
class LogStream:
    def __init__(self, level, name): self.level = level
    def write(self, text): written.append([self.level, text])
    def flush(self): pass
host.LogStream = LogStream
host.log = lambda level, text: written.append([level, text])
host.log_level = lambda level: 0
host.FileWrapper = type('FileWrapper', (), {})
host.request_data = lambda: None
host.active_requests = dict
host.listen = lambda: None
host.thread_times = lambda: (0.0, 0.0)
sys.modules['_nwsgi'] = host
sys.path.insert(0, ${JSON.stringify(library)})
sys.dont_write_bytecode = True
result = {}
`;

function run(source: string): Record<string, unknown> {
  const { stdout, stderr, status } = spawnSync(python, ['-c', `${prelude}${source}\nsys.__stdout__ = None\nimport os\nos.write(1, json.dumps(result).encode())`], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe.skipIf(!existsSync(python))('descriptions of exceptions', () => {
  const described = run(`
from nwsgi_host import faults
def described(source, name='/srv/app.py'):
    try:
        exec(compile(source, name, 'exec'), {})
    except BaseException as error:
        return faults.describe(error)
class Evil(Exception):
    def __str__(self): raise RuntimeError
    def __repr__(self): raise RuntimeError
def evil():
    try:
        raise Evil
    except Evil as error:
        return faults.describe(error)
def syntax():
    try:
        compile('x = (', '/srv/bad.py', 'exec')
    except SyntaxError as error:
        return faults.describe(error)
result.update(
    plain=described('\\n\\nraise ValueError("no")'),
    empty=described('raise KeyError'),
    module=described('import json\\njson.loads("{")'),
    chain=described('try:\\n    1 / 0\\nexcept ZeroDivisionError as e:\\n    raise OSError("above") from e'),
    surrogate=described('raise ValueError("\\\\udc80")'),
    deep=described('def f():\\n    f()\\nf()'),
    long=described('raise ValueError("x" * 100000)'),
    evil=evil(), syntax=syntax(),
    exits=described('raise SystemExit(3)'),
)
`) as Record<string, [string, string, string, number]>;

  it('say what and where', () => {
    expect([described.plain?.[0], described.plain?.[2], described.plain?.[3]]).toEqual(['ValueError: no', '/srv/app.py', 3]);
    expect(described.plain?.[1]).toMatch(/^Traceback \(most recent call last\):\n[\s\S]*File "\/srv\/app\.py", line 3, in <module>\nValueError: no$/);
    expect(described.empty?.[0]).toBe('KeyError');
    expect(described.exits?.[0]).toBe('SystemExit: 3');
  });

  it('name the application\'s line, not that of the library below it', () => {
    expect(described.module?.slice(2)).toEqual(['/srv/app.py', 2]);
    expect(described.module?.[0]).toMatch(/^json\.decoder\.JSONDecodeError: Expecting/);
  });

  it('have the place of a syntax error', () => {
    expect(described.syntax?.slice(2)).toEqual(['/srv/bad.py', 1]);
    expect(described.syntax?.[0]).toMatch(/^SyntaxError: /);
  });

  it('have the exceptions that led to it', () => {
    expect(described.chain?.[1]).toMatch(/ZeroDivisionError[\s\S]*direct cause[\s\S]*OSError: above$/);
  });

  it('bear whatever an exception does', () => {
    expect(described.evil?.[0]).toMatch(/Evil: <str\(\) failed>/);
    expect(described.surrogate?.[0]).toBe('ValueError: \\udc80');
    expect(described.deep?.[0]).toMatch(/^RecursionError: /);
    expect(described.long?.[1]?.length).toBeLessThan(34_000);
  });
});

describe.skipIf(!existsSync(python))('metrics', () => {
  it('sort durations into 65 buckets, four for each octave from a millisecond on', () => {
    const { buckets } = run(`
from nwsgi_host import metrics
result['buckets'] = [metrics.bucket_of(ms / 1000) for ms in (0, 0.9, 1, 1.26, 1.9, 2, 2.5, 3.9, 4, 1000, 65535, 65536, 1e6)]
`);
    expect(buckets).toEqual([0, 0, 0, 1, 3, 4, 5, 7, 8, 39, 63, 64, 64]);
  });

  it('count requests of a window once, and the time of those that go on', () => {
    const counted = run(`
import time
from nwsgi_host import events, metrics
recorder = metrics.recorder(4)
def start(key, thread):
    events.request_started(key, f'id{key}', {}, {}, None, 'application', thread)
for key in (1, 2, 3):
    start(key, key)
time.sleep(0.02)
events.request_finished(1, 200, 1, 10, 2, 20)
events.request_finished(2, 404, 0, 0, 1, 5)
first, second = recorder.request_metrics(), recorder.request_metrics()
events.request_finished(3, 0, 0, 0, 0, 0)
events.request_finished(4, 200, 0, 0, 0, 0)
third = recorder.request_metrics()
result.update(first=first, second=second, third=third, all=recorder.process_metrics())
`) as Record<string, Record<string, number | null>>;
    expect(counted.first).toMatchObject({
      request_count: 2, status_2xx: 1, status_4xx: 1, status_5xx: 0, input_bytes: 10, output_bytes: 25, output_writes: 3, request_threads_maximum: 4, request_threads_started: 3, request_threads_active: 3,
    });
    expect(counted.first?.application_time).toBeGreaterThanOrEqual(0.02);
    expect(counted.first?.capacity_utilization).toBeGreaterThan(0.5);
    expect(counted.first?.capacity_utilization).toBeLessThanOrEqual(1);
    expect(counted.second).toMatchObject({ request_count: 0, application_time: 0, application_time_min_us: null, request_threads_active: 1 });
    expect(counted.third).toMatchObject({ request_count: 1, status_5xx: 1, status_2xx: 0 });
    expect(counted.all).toMatchObject({ request_count: 3 });
  });
});

describe.skipIf(!existsSync(python))('subscribers', () => {
  it('hear events in their order, and add to what the later ones hear', () => {
    const { heard, application, failed } = run(`
from nwsgi_host import events
heard = []
sys.stderr = LogStream(3, '')
@events.subscribe_events
def first(name, **event):
    heard.append(['first', name, sorted(set(event) & {'more'})])
    return {'more': 1, 'application_object': 'other'} if name == 'request_started' else None
@events.subscribe_events
def broken(name, **event):
    raise ValueError('of a subscriber')
@events.subscribe_events
def last(name, **event):
    heard.append(['last', name, sorted(set(event) & {'more'})])
result['application'] = events.request_started(1, 'id', {}, {}, 'mine', 'application', 1)
events.request_finished(1, 200, 0, 0, 0, 0)
result.update(heard=heard, failed=[text for level, text in written])
`) as { heard: unknown; application: string; failed: string[] };
    expect(heard).toEqual([['first', 'request_started', []], ['last', 'request_started', ['more']], ['first', 'request_finished', []], ['last', 'request_finished', []]]);
    expect(application).toBe('other');
    expect(failed).toHaveLength(2);
    expect(failed[0]).toMatch(/The function that is told of the event request_started failed\n[\s\S]*ValueError: of a subscriber/);
  });
});
