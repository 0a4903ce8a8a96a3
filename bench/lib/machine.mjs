// The machine that is measured: its processors, and which of them serve and which load.
import { cpus, totalmem, release } from 'node:os';
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

/** CPUs that this process may use: from "0-3,8". */
export function parseCpuList(text) {
  return text
    .trim()
    .split(',')
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** The load has the last CPU, servers the others; with one, or with --no-pin, everybody has all. */
export function shareCpus(available, pin = true) {
  if (!pin || available.length < 2) return { servers: available.join(','), load: null };
  return { servers: available.slice(0, -1).join(','), load: String(available.at(-1)) };
}

export function availableCpus() {
  const text = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return text === undefined ? cpus().map((_, index) => index) : parseCpuList(text);
}

const firstLine = (command, args) => {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0];
};

/** Of a Debian package, without what Debian adds. */
export const packageVersion = (name) => firstLine('dpkg-query', ['-W', '-f', '${Version}', name]).replace(/^\d+:/, '').replace(/[+-].*$/, '');

export const programVersion = (command, args, pattern) => pattern.exec(firstLine(command, args))?.[1] ?? 'unknown';

/** For the reports. `node`: the node that serves. */
export function describeMachine(node) {
  const system = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  return {
    processor: cpus()[0]?.model ?? 'unknown processor',
    cpus: availableCpus().length,
    memory: totalmem(),
    system,
    kernel: release().split('-')[0],
    httpd: programVersion('/usr/sbin/apache2', ['-v'], /Apache\/([\d.]+)/),
    node: firstLine(node, ['--version']),
    python: firstLine('/usr/bin/python3', ['--version']).replace('Python ', ''),
    wrk: packageVersion('wrk'),
  };
}
