// nwsgi with one mount, and with many mounts, virtual hosts and applications: for the scenario "mounts".
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const MOUNTS = 1000;
export const HOSTS = 100;
export const APPLICATIONS = 50;

/** Mounts of a host: /mount-0 …; applications take turns. */
const mountsOf = (scripts, count) =>
  Array.from({ length: count }, (_, index) => `WSGIScriptAlias /mount-${index} "${scripts[index % scripts.length]}"`).join('\n');

function many(host, port, folder) {
  const scripts = Array.from({ length: APPLICATIONS }, (_, index) => {
    const script = join(folder, 'htdocs', `application-${index}.mjs`);
    copyFileSync(host.script('mounts'), script);
    return script;
  });
  const hosts = Array.from({ length: HOSTS }, (_, index) => {
    // All mounts are in the middle one; the others have some each.
    const count = index === HOSTS / 2 ? MOUNTS : 10;
    return `<VirtualHost 127.0.0.1:${port}>\nServerName host-${index}.test\n${mountsOf(scripts, count)}\n</VirtualHost>`;
  });
  writeFileSync(join(folder, 'many.conf'), hosts.join('\n'));
  return `Include "${join(folder, 'many.conf')}"`;
}

const contender = (name, title, directives) => ({
  name,
  title,
  runs: ['mounts'],
  async start(host) {
    const server = await host.startApache({ nwsgi: true, directives: ({ folder, port }) => directives(host, port, folder) });
    return server;
  },
});

export default [
  contender('one-mount', 'one mount, one host, one application', (host, port) => `<VirtualHost 127.0.0.1:${port}>
ServerName host-${HOSTS / 2}.test
WSGIScriptAlias /mount-${MOUNTS - 1} "${host.script('mounts')}"
</VirtualHost>`),
  contender('many-mounts', `${MOUNTS} mounts, ${HOSTS} hosts, ${APPLICATIONS} applications`, many),
];
