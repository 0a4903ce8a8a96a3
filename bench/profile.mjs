// npm run bench -- profile [application]: where the time of one request goes. Phases from the module's own timestamps
// (NWSGI_PROFILE), the JavaScript side from V8's sampling profiler, the rest from perf where it is installed.
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { spawnSync } from 'node:child_process';
import { markdownTable } from 'markdown-table';
import { applications } from './applications.mjs';
import { readProfile, selfTimes, wrapScript } from './lib/cpu-profile.mjs';
import { Group } from './lib/host.mjs';
import { benchFolder, apacheModules } from './lib/paths.mjs';
import { parsePhases, phases, summarisePhases } from './lib/phases.mjs';
import { familyOf } from './lib/processes.mjs';
import { wrkErrors } from './lib/load.mjs';

const microseconds = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} ms` : `${value.toFixed(1)} µs`);
const percent = (value) => `${(value * 100).toFixed(1)} %`;

const logging = (file) => `
<IfModule !mod_log_config.c>
  LoadModule log_config_module ${apacheModules}/mod_log_config.so
</IfModule>
BufferedLogs On
LogFormat "%{nwsgi-phases}n total=%D" phases
CustomLog "${file}" phases`;

function printPhases(title, log) {
  const found = parsePhases(existsSync(log) ? readFileSync(log, 'utf8') : '');
  if (found.total.length === 0) return console.log(`\n${title}: the module noted nothing`);
  const rows = summarisePhases(found).map(({ name, mean, p50, p99, share }) => [name, microseconds(mean), microseconds(p50), microseconds(p99), percent(share), phases[name] ?? '']);
  console.log(`\n${title}: ${found.total.length} requests\n${markdownTable([['', 'mean', 'p50', 'p99', 'of the whole', ''], ...rows], { align: ['l', 'r', 'r', 'r', 'r', 'l'] })}`);
}

/** One contender with one number of connections; a server of its own, so that its log has nothing else. */
async function profilePhases({ machine, load, application, contender, connections, seconds }) {
  const log = join(machine.folder, `phases-${contender.name}-${connections}.log`);
  const group = new Group({ ...machine, env: { NWSGI_PROFILE: '1' } }, { application, apache: logging(log) });
  try {
    const place = await group.start(contender);
    await place.check({ body: 'Hello world\n' });
    await load.wrk(place.url('/'), { connections, seconds: 1 });
    const result = await load.wrk(place.url('/'), { connections, seconds });
    const errors = wrkErrors(result.errors);
    if (errors !== '') console.log(`\n${contender.title}: ${errors} of ${result.requests} requests`);
  } finally {
    await group.stop();
  }
  // The buffered lines are written when the server stops.
  printPhases(`${application.title}, ${contender.title}, ${connections} connection${connections === 1 ? '' : 's'}`, log);
  rmSync(log, { force: true });
}

/** Under load: what JavaScript does, and with perf what the processes do. */
async function profileProcessors({ machine, load, application, contender, seconds, output }) {
  // Whoever the application runs as writes there.
  const written = mkdtempSync(join(machine.folder, 'profile-'));
  chmodSync(written, 0o777);
  const target = join(written, `${application.name}-${contender.name}.cpuprofile`);
  // V8 samples by SIGPROF, which the threads of embedded environments do not take: the worker's gateway is the same.
  const sampled = application.wsgi !== undefined && contender.name === 'nwsgi-daemon';
  const name = !sampled ? undefined : wrapScript(machine.apps, application.wsgi, { delay: 500, length: seconds * 1000, target });
  const group = new Group(machine, { application: name === undefined ? application : { ...application, wsgi: name } });
  try {
    const place = await group.start(contender);
    const loading = load.wrk(place.url('/'), { connections: 32, seconds: seconds + 1 });
    if (output.perf !== undefined) {
      const pids = [...familyOf(place.pids).keys()].join(',');
      await load.run('perf', ['record', '-q', '-g', '-F', '999', '-e', 'cpu-clock', '-o', output.perf, '-p', pids, '--', 'sleep', String(seconds)]);
    }
    await loading;
    if (name !== undefined) printProfile(await readProfile(target), contender);
    if (name !== undefined && existsSync(target)) copyFileSync(target, join(output.folder, `${application.name}-${contender.name}.cpuprofile`));
  } finally {
    await group.stop();
  }
}

function printProfile(profile, contender) {
  if (profile === null) return console.log(`\nJavaScript, ${contender.title}: no profile was written`);
  const { busy, idle, functions } = selfTimes(profile);
  const rows = functions.slice(0, 25).map(({ name, share }) => [name, percent(share)]);
  console.log(`\nJavaScript, ${contender.title}, 32 connections: busy ${percent(busy / (busy + idle))} of the time; of that\n${markdownTable([['function', 'in itself'], ...rows], { align: ['l', 'r'] })}`);
}

function printPerf(file, contender) {
  const { stdout } = spawnSync('perf', ['report', '-i', file, '--stdio', '--no-children', '-g', 'none', '--percent-limit', '0.5', '-F', 'overhead,comm,dso,symbol'], { encoding: 'utf8', maxBuffer: 1 << 26 });
  const lines = stdout.split('\n').filter((line) => /^\s+[\d.]+%/.test(line));
  console.log(`\nperf, ${contender.title}: ${relative(process.cwd(), file)}\n${lines.slice(0, 40).join('\n')}`);
}

const hasPerf = () => spawnSync('perf', ['--version']).status === 0;

/** @param {{machine: object, load: import('./lib/load.mjs').Load, contenders: object[], options: {profile: string, seconds?: number, only: string[]}}} tools */
export async function profile({ machine, load, contenders, options }) {
  const application = applications[options.profile];
  const subjects = contenders.filter(({ name }) => name.startsWith('nwsgi-') && (options.only.length === 0 || options.only.includes(name)));
  const seconds = options.seconds ?? 2;
  const folder = join(benchFolder, 'results', 'partial');
  mkdirSync(folder, { recursive: true });
  for (const contender of subjects) {
    for (const connections of [1, 32, 1000]) await profilePhases({ machine, load, application, contender, connections, seconds });
    const perf = hasPerf() ? join(folder, `${application.name}-${contender.name}.perf.data`) : undefined;
    await profileProcessors({ machine, load, application, contender, seconds, output: { folder, perf } });
    if (perf !== undefined) printPerf(perf, contender);
    else console.log('\nperf is not installed (Debian: linux-perf): what the processes do outside of JavaScript is not shown');
  }
  console.log(`\nProfiles for a viewer (Chromium's developer tools): ${relative(process.cwd(), folder)}/*.cpuprofile`);
}
