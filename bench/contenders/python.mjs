// Python applications elsewhere: mod_wsgi, Gunicorn, uWSGI, one process each, with as many threads as ours where it has threads.
import { symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lib/host.mjs';
import { packageVersion } from '../lib/machine.mjs';

const touch = (file) => utimesSync(file, new Date(), new Date());

const modWsgi = (mode, title, directives) => ({
  name: `mod_wsgi-${mode}`,
  title,
  runs: ['python'],
  packages: ['libapache2-mod-wsgi-py3'],
  version: () => packageVersion('libapache2-mod-wsgi-py3'),
  async start(host) {
    const script = host.script('python');
    const server = await host.startApache({ modules: ['wsgi'], directives: ({ folder }) => directives(folder, script) });
    return { ...server, reload: () => touch(script) };
  },
});

/** A server of its own that speaks HTTP. `args`: of its port and a folder that has the script as application.py. */
const standalone = (name, title, { packages, command, args }) => ({
  name,
  title,
  runs: ['python'],
  packages,
  version: () => packageVersion(packages[0]),
  async start(host) {
    const port = await freePort();
    const folder = host.newFolder(name);
    symlinkSync(host.script('python'), join(folder, 'application.py'));
    const started = host.process(command, args(port, folder), { cwd: folder, stop: 'SIGINT' });
    return { url: `http://127.0.0.1:${port}`, processes: [started], reload: () => started.signal('SIGHUP') };
  },
});

const mount = (script, group) => `WSGIScriptAlias / "${script}" process-group=${group} application-group=%{GLOBAL}`;

export default [
  modWsgi('embedded', 'mod_wsgi, embedded', (folder, script) => mount(script, '%{GLOBAL}')),
  modWsgi(
    'daemon',
    'mod_wsgi, daemon',
    (folder, script) => `WSGISocketPrefix "${folder}/wsgi"\nWSGIDaemonProcess bench processes=1 threads=15\n${mount(script, 'bench')}`,
  ),
  // The default worker, "sync", answers one request on a connection; with threads connections are kept.
  standalone('gunicorn', 'Gunicorn', {
    packages: ['gunicorn'],
    command: '/usr/bin/gunicorn',
    args: (port, folder) => [
      ...['--bind', `127.0.0.1:${port}`, '--workers', '1', '--worker-class', 'gthread', '--threads', '15', '--keep-alive', '75'],
      ...['--worker-connections', '20000', '--worker-tmp-dir', folder, '--log-level', 'warning', '--pythonpath', folder, 'application:application'],
    ],
  }),
  // Its HTTP router keeps connections; --http11-socket lets a connection hold a thread, and the others starve.
  standalone('uwsgi', 'uWSGI', {
    packages: ['uwsgi-core', 'uwsgi-plugin-python3'],
    command: '/usr/bin/uwsgi-core',
    args: (port, folder) => [
      ...['--plugin', 'http', '--plugin', 'python3', '--http', `127.0.0.1:${port}`, '--http-keepalive=75', '--socket', join(folder, 'socket')],
      ...['--wsgi-file', join(folder, 'application.py'), '--master', '--processes', '1', '--threads', '15', '--tcp-nodelay'],
      ...['--disable-logging', '--die-on-term', '--need-app'],
    ],
  }),
];
