// Where the time of one request goes: what the module's notes say (native/module/profile.h).
import { quantile } from './statistics.mjs';

/** In their order; what each is. */
export const phases = {
  http: 'httpd until the handler: reading the request, URL, access, other modules',
  submit: 'the handler: plan and record of the request, first look at its body',
  queue: 'until the loop takes it, its wake-up included',
  application: 'JavaScript: its turn of the batch, gateway, application, until it has answered',
  wake: 'until the serving thread has taken note of the answer',
  worker: 'in the worker of a process group and on the way there and back',
  write: 'the answer: headers and body to httpd\'s filters',
  rest: 'httpd afterwards: what is left to send, the log',
};

/** Lines "http=1 submit=2 … total=MICROSECONDS" → nanoseconds by phase, each a list; lines without phases are left out. */
export function parsePhases(text) {
  const found = Object.fromEntries(['total', ...Object.keys(phases)].map((name) => [name, []]));
  for (const line of text.split('\n')) {
    if (!line.startsWith('http=')) continue;
    const values = Object.fromEntries(line.split(' ').map((word) => word.split('=')).map(([name, value]) => [name, Number(value)]));
    const total = values.total * 1000;
    const known = Object.keys(phases).reduce((sum, name) => sum + (values[name] ?? 0), 0);
    for (const name of Object.keys(phases)) if (name !== 'rest') found[name].push(values[name] ?? 0);
    found.rest.push(Math.max(0, total - known));
    found.total.push(total);
  }
  return found;
}

/** For each phase that takes any time: mean, p50 and p99 in µs, and its share of the whole. */
export function summarisePhases(found) {
  const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const all = mean(found.total);
  return Object.keys(phases)
    .filter((name) => found[name].some((value) => value > 0))
    .map((name) => ({ name, mean: mean(found[name]) / 1000, p50: quantile(found[name], 0.5) / 1000, p99: quantile(found[name], 0.99) / 1000, share: mean(found[name]) / all }))
    .concat([{ name: 'total', mean: all / 1000, p50: quantile(found.total, 0.5) / 1000, p99: quantile(found.total, 0.99) / 1000, share: 1 }]);
}
