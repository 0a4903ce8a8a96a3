/** Signals, processes, threads and standard streams of Python applications: what works, and what is refused with an explanation. */
import { describe, expect, it } from 'vitest';
import { daemon, mpms, useServer, waitFor, type HttpdServer } from '../harness/index.js';

const SIGTERM = 15;
const options = {
  apps: ['processes.py', 'importable_work.py'],
  threads: 4,
  directives: (s: HttpdServer) => [`WSGIPythonPath "${s.app('')}"`, `WSGIScriptAlias / "${s.app('processes.py')}"`],
};

const asks = (server: HttpdServer) => async (query: string): Promise<unknown> => {
  const response = await server.get(`/?${query}`);
  expect(response.status, response.text).toBe(200);
  return response.json();
};

// The worker MPM is to applications what event is.
describe.each(mpms.filter((mpm) => mpm !== 'worker'))('signals of the process are the server\'s (%s)', (mpm) => {
  const server = useServer({ ...options, mpm });
  const ask = asks(server);

  it('signal.signal() is ignored, and the log says where it was called', async () => {
    const since = server.mark();
    expect(await ask('signal=handler')).toBe(true);
    await server.expectLog(/nwsgi:warn\][^\n]*NWSGI2608 signal\.signal\(SIGTERM\) is ignored[\s\S]*File "[^"]*processes\.py", line \d+, in signals/, { since });
  });

  it('a thread cannot take them from the server either', async () => {
    expect(await ask('signal=mask')).toEqual([10, SIGTERM]);
  });

  it('processes that are started have none of them blocked, and can be ended', async () => {
    expect(await ask('child=terminate')).toBe(-SIGTERM);
    expect(await ask('child=fork')).toBe(7);
  });
});

describe('processes and threads of an application', () => {
  const server = useServer(options);
  const ask = asks(server);

  it('sys.executable is a Python of this version', async () => {
    expect(await ask('executable')).toBe(true);
  });

  it('signal.alarm() and setitimer() do not end the process', async () => {
    const pid = await ask('pid');
    const since = server.mark();
    expect(await ask('signal=alarm')).toBe('alive');
    await server.expectLog(/NWSGI2608 signal\.alarm\(1\) is ignored/, { since });
    await server.expectLog(/NWSGI2608 signal\.setitimer\(/, { since });
    expect(await ask('pid')).toBe(pid);
  });

  it('faulthandler.register() does not take a signal from the server', async () => {
    const since = server.mark();
    expect(await ask('signal=faulthandler')).toBe(null);
    await server.expectLog(/NWSGI2608 faulthandler\.register\(SIGUSR1\) is ignored/, { since });
  });

  it('SIGINT to the own process has the process of a group replaced, as with mod_wsgi; its requests finish', async () => {
    const pid = await ask('pid');
    expect(await ask('signal=interrupt')).toBe(pid);
    if (daemon) await waitFor('another process', async () => (await ask('pid')) !== pid);
    else expect(await ask('pid')).toBe(pid);
  });

  it('subprocess: no signal is blocked, however the process is started', async () => {
    expect(await ask('child=mask')).toMatchObject({ SigBlk: 0 });
    expect(await ask('child=session')).toBe(-SIGTERM);
    expect(await ask('child=spawn')).toBe(SIGTERM);
  });

  it('a forked child writes to standard error', async () => {
    const since = server.mark();
    expect(await ask('child=warns')).toBe(0);
    await waitFor('the warning', () => (server.log(since) + server.output()).includes('from the forked child'));
  });

  it('subprocess.run(), os.system() and os.popen() give what they should', async () => {
    expect(await ask('child=shell')).toEqual(['42\n', 3 << 8, SIGTERM, 'out\n']);
  });

  it('multiprocessing works: by fork, with handlers of signals and pools', async () => {
    expect(await ask('multi=fork')).toEqual({
      value: 49, other: true, mask: 0, exit: 0, sleeps: -SIGTERM, handles_term: 3, pool: [1, 8, 27],
    });
  });

  it('multiprocessing works: by spawn, for functions of modules', async () => {
    expect(await ask('multi=spawn')).toEqual({ value: 49, other: true, mask: 0, exit: 0 });
  });

  it('threads, pools of threads and of processes, and timers work', async () => {
    expect(await ask('threads')).toEqual([[0, 1, 4, 9, 16], null, [0, 1, 8], [1], false]);
  });

  it('asyncio.run() works in a request, with processes of its own', async () => {
    const since = server.mark();
    expect(await ask('asyncio')).toEqual(['through cat', 0, -SIGTERM, ['a', 'b']]);
    expect(server.log(since)).not.toMatch(/NWSGI2608/);
  });
});

describe('what the configuration may restrict or not', () => {
  const apps = ['reads_stdin.py', 'processes.py', 'importable_work.py'];
  const directives = (s: HttpdServer) => [`WSGIPythonPath "${s.app('')}"`, `WSGIScriptAlias /streams "${s.app('reads_stdin.py')}"`, `WSGIScriptAlias /processes "${s.app('processes.py')}"`];
  const free = useServer({ apps, directives });
  const changed = useServer({ apps, directives: (s) => ['WSGIRestrictStdin On', 'WSGIRestrictStdout On', 'WSGIRestrictSignal Off', ...directives(s)] });

  it('sys.stdin is empty', async () => {
    expect((await free.get('/streams?read')).text).toBe("''");
    expect((await free.get('/streams?iterate')).text).toBe('[]');
    expect((await free.get('/streams?input')).text).toBe('EOFError');
  });

  it('with WSGIRestrictStdin and WSGIRestrictStdout they refuse what is asked of them, and say why', async () => {
    for (const action of ['read', 'iterate', 'input']) expect((await changed.get(`/streams?${action}`)).text).toMatch(/OSError: NWSGI2609 .*WSGIRestrictStdin On/);
    expect((await changed.get('/streams?write')).text).toMatch(/OSError: NWSGI2609 .*WSGIRestrictStdout On/);
    expect((await changed.get('/streams?flush')).text).toBe('None');
    expect((await changed.get('/streams?stderr')).text).toBe('10');
    await changed.expectLog(/on stderr/);
  });

  it('without WSGIRestrictSignal, signal.signal() is Python\'s: only the main thread may call it, which no request runs on', async () => {
    const since = changed.mark();
    expect((await changed.get('/processes?signal=handler')).status).toBe(500);
    await changed.expectLog(/ValueError: signal only works in main thread of the main interpreter/, { since });
    expect((await changed.get('/processes?pid')).status).toBe(200);
  });
});
