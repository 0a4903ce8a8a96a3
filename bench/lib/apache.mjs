// Configurations of the benchmarks' Apaches: one child of 64 threads, the same lines for every contender.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { apacheModules, benchFolder } from './paths.mjs';

/**
 * @param {{folder: string, port: number, modules?: string[], directives: string, nwsgi?: string}} options
 *   `modules`: names such as "proxy"; `nwsgi`: file of mod_nwsgi when it is to be loaded; `folder`: the server's own
 */
export function apacheConfiguration({ folder, port, modules = [], directives, nwsgi }) {
  const names = ['mpm_event', 'authz_core', ...modules];
  return `
ServerRoot "${folder}"
DefaultRuntimeDir "${folder}"
PidFile "${folder}/httpd.pid"
Listen 127.0.0.1:${port}
ListenBackLog 4096
ServerName 127.0.0.1
${names.map((name) => `LoadModule ${name}_module ${apacheModules}/mod_${name}.so`).join('\n')}
${nwsgi ? `LoadModule nwsgi_module ${nwsgi}` : ''}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
ErrorLog "${folder}/error.log"
DocumentRoot "${folder}/htdocs"
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
AsyncRequestWorkerFactor 400
KeepAlive On
MaxKeepAliveRequests 0
<Directory "${folder}">
  Require all granted
</Directory>
${directives}
`;
}

/** The module with the C handlers, below `folder`: compiled for the httpd that is there, once. */
export function buildCHandler(folder) {
  const target = join(folder, 'mod_bench_c.so');
  if (existsSync(target)) return target;
  const query = (name) => execFileSync('apxs', ['-q', name], { encoding: 'utf8' }).trim();
  const flags = execFileSync('apr-1-config', ['--includes', '--cppflags'], { encoding: 'utf8' }).trim().split(/\s+/);
  const source = join(benchFolder, 'c-handler', 'mod_bench_c.c');
  execFileSync('cc', ['-O2', '-fPIC', '-shared', `-I${query('INCLUDEDIR')}`, ...flags, source, '-o', target]);
  return target;
}
