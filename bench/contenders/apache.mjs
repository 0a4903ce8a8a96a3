// nwsgi, and in the same Apache what it is compared with: C handlers and a static file.
import { existsSync, linkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildCHandler } from '../lib/apache.mjs';

/** New code: the script looks changed. */
const touch = (file) => {
  const now = new Date();
  utimesSync(file, now, now);
};

const scriptOf = (host) => host.script(host.application.wsgi === undefined ? 'python' : 'wsgi');

/** What the applications answer, as files. */
function writeStaticFiles(host, folder) {
  writeFileSync(join(folder, 'hello'), 'Hello world\n');
  writeFileSync(join(folder, '10k'), 'x'.repeat(10 * 1024));
  writeFileSync(join(folder, '1m'), 'x'.repeat(1024 * 1024));
  const gibibyte = join(host.machine.folder, 'gibibyte');
  if (existsSync(gibibyte)) linkSync(gibibyte, join(folder, 'gibibyte'));
}

/** One Apache for nwsgi, embedded, and the yardsticks. */
const oneApache = (host) =>
  host.shared('apache', async () => {
    const server = await host.startApache({
      nwsgi: true,
      directives: ({ folder }) => {
        writeStaticFiles(host, join(folder, 'htdocs'));
        return `
LoadModule bench_c_module ${buildCHandler(host.machine.folder)}
<Location "/bench-c">
  SetHandler bench-c
</Location>
<Location "/bench-c-upload">
  SetHandler bench-c-upload
</Location>
WSGIScriptAlias /wsgi "${scriptOf(host)}"`;
      },
    });
    return { ...server, reload: () => touch(scriptOf(host)) };
  });

/** `paths`: where it has what the application has at these paths; it has nothing else. */
const yardstick = (name, title, paths) => ({
  name,
  title,
  runs: ['wsgi'],
  paths,
  when: (application) => application.yardsticks === true,
  start: async (host) => ({ ...(await oneApache(host)), paths, reload: undefined }),
});

export default [
  {
    name: 'nwsgi-embedded',
    title: 'nwsgi, embedded',
    runs: ['wsgi', 'python'],
    async start(host) {
      if (host.application.yardsticks) {
        const server = await oneApache(host);
        return { ...server, url: `${server.url}/wsgi` };
      }
      const server = await host.startApache({ nwsgi: true, directives: `WSGIScriptAlias / "${scriptOf(host)}"` });
      return { ...server, reload: () => touch(scriptOf(host)) };
    },
  },
  {
    name: 'nwsgi-daemon',
    title: 'nwsgi, process group',
    runs: ['wsgi', 'python'],
    async start(host) {
      const threads = host.application.wsgi === undefined ? ' threads=15' : '';
      const server = await host.startApache({
        nwsgi: true,
        directives: ({ folder }) =>
          `WSGISocketPrefix "${folder}/wsgi"\nWSGIDaemonProcess bench processes=1${threads} node="${host.node}"\nWSGIScriptAlias / "${scriptOf(host)}" process-group=bench application-group=%{GLOBAL}`,
      });
      return { ...server, reload: () => touch(scriptOf(host)) };
    },
  },
  yardstick('c-location', 'C handler in a <Location>', { '/': '/bench-c', '/upload': '/bench-c-upload' }),
  yardstick('c-resolved', 'C handler, mount resolved by the module', { '/': '/bench-c-resolved' }),
  yardstick('static', 'Apache, static file', { '/': '/hello', '/10k': '/10k', '/1m': '/1m', '/file': '/gibibyte' }),
];
