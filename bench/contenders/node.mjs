// The same Node application outside of Apache: behind mod_proxy_http, behind NGINX, alone.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { frontServers, provideFrontServers } from '../../scripts/lib/front-servers.mjs';
import { UserError } from '../../scripts/lib/steps.mjs';
import { freePort } from '../lib/host.mjs';
import { programVersion } from '../lib/machine.mjs';

/** One worker, no access log, connections to node kept: as little as NGINX can do. */
const nginxConfiguration = ({ folder, port, node }) => `
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
${process.getuid() === 0 ? 'user www-data;' : ''}
events { worker_connections 32768; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/temp/${name};`).join('\n  ')}
  upstream node { server 127.0.0.1:${node}; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://node;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 300s;
    }
  }
}
`;

export default [
  {
    name: 'mod_proxy',
    title: 'mod_proxy_http → node',
    runs: ['node'],
    async start(host) {
      const node = await host.startNode();
      const server = await host.startApache({ modules: ['proxy', 'proxy_http'], directives: `ProxyPass / ${node.url}/ keepalive=On` });
      return { ...server, processes: [...server.processes, ...node.processes] };
    },
  },
  {
    name: 'nginx',
    title: 'NGINX → node',
    runs: ['node'],
    // The same application as "hello" there.
    when: ({ name }) => name !== 'http',
    async provide(note) {
      const said = await provideFrontServers(note);
      if (frontServers().nginx === undefined) throw new UserError(said ?? 'there is no nginx');
    },
    version: () => programVersion(frontServers().nginx, ['-v'], /nginx\/(\S+)/),
    async start(host) {
      const node = await host.startNode();
      const folder = host.newFolder('nginx');
      const port = await freePort();
      mkdirSync(join(folder, 'temp'));
      chmodSync(join(folder, 'temp'), 0o777);
      writeFileSync(join(folder, 'nginx.conf'), nginxConfiguration({ folder, port, node: node.port }));
      const server = host.process(frontServers().nginx, ['-p', folder, '-c', join(folder, 'nginx.conf')], { log: join(folder, 'error.log') });
      return { url: `http://127.0.0.1:${port}`, processes: [server, ...node.processes] };
    },
  },
  {
    name: 'node',
    title: 'node alone',
    runs: ['node'],
    start: (host) => host.startNode(),
  },
];
