// Profiles of the JavaScript side: the application's script is wrapped in one that samples it from inside, which is the same
// embedded and in a worker; and perf, where it is installed.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The wrapper's source. It samples from `delay` ms after the application was loaded, for `length` ms, and writes to `target`. */
const wrapper = (script, hasDefault, { delay, length, target }) => `
import { Session } from 'node:inspector';
import { writeFileSync, renameSync } from 'node:fs';
export * from ${JSON.stringify(script)};
${hasDefault ? `export { default } from ${JSON.stringify(script)};` : ''}
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', { interval: 100 });
setTimeout(() => session.post('Profiler.start'), ${delay});
setTimeout(() => session.post('Profiler.stop', (error, result) => {
  if (error) throw new Error(error.message);
  writeFileSync(${JSON.stringify(`${target}.part`)}, JSON.stringify(result.profile));
  renameSync(${JSON.stringify(`${target}.part`)}, ${JSON.stringify(target)});
}), ${delay + length});
`;

/** Writes the wrapper beside the script; returns its name below the folder of applications. */
export function wrapScript(apps, name, options) {
  const text = readFileSync(join(apps, name), 'utf8');
  const wrapped = `profiled-${basename(name).replace(/\.\w+$/, '')}.mjs`;
  writeFileSync(join(apps, wrapped), wrapper(`./${name}`, /\bexport default\b|\bmodule\.exports\b/.test(text), options));
  return wrapped;
}

/** The profile, once it was written; null when it does not come. */
export async function readProfile(file, patience = 10_000) {
  for (const until = performance.now() + patience; performance.now() < until; await sleep(100)) {
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  }
  return null;
}

/** Functions by the time in themselves: share of the samples in which the loop was busy. */
export function selfTimes(profile) {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const sums = new Map();
  let busy = 0;
  let idle = 0;
  profile.samples.forEach((id, index) => {
    const { functionName, url, lineNumber } = nodes.get(id).callFrame;
    const time = profile.timeDeltas[index];
    if (functionName === '(idle)' || functionName === '(root)') return void (idle += time);
    busy += time;
    const place = url === '' ? '' : ` ${url.replace(/^file:\/\//, '').split('/').slice(-2).join('/')}:${lineNumber + 1}`;
    const key = `${functionName || '(anonymous)'}${place}`;
    sums.set(key, (sums.get(key) ?? 0) + time);
  });
  const functions = [...sums].sort((a, b) => b[1] - a[1]).map(([name, time]) => ({ name, share: time / busy }));
  return { busy: busy / 1e6, idle: idle / 1e6, functions };
}
