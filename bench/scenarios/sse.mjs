// Many open streams of server-sent events, an event each second on each. How late: from the moment at which the event was due in the
// application to the moment at which the client has it.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { benchFolder } from '../lib/paths.mjs';
import { Sampler } from '../lib/sampler.mjs';

const client = join(benchFolder, 'lib', 'clients', 'events.mjs');
const events = { node: 'events-http.mjs', check: { path: '/' } };

export default {
  name: 'sse',
  title: 'Server-sent events: an event each second on each stream',
  applications: [
    { ...events, name: 'events', title: 'An asynchronous generator (WSGI)', wsgi: 'events.mjs' },
    { ...events, name: 'events-http', title: 'node:http', wsgi: 'events-http.mjs' },
  ],
  cases: [
    { name: '10000', title: '10,000 streams', streams: 10_000 },
    { name: '1000', title: '1,000 streams', streams: 1000 },
  ],
  contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'nginx', 'node'],
  fresh: true,
  columns: ['p50', 'p99', 'lag', 'cpu', 'each'],
  figures: {
    lag: { title: 'worst lag', write: (value) => `${value.toFixed(0)} ms` },
    cpu: { title: 'CPU for each event', write: (value) => `${value.toFixed(1)} µs` },
    each: { title: 'memory for each stream', write: (value) => `${(value / 1024).toFixed(1)} KiB` },
  },
  full: { rounds: 1, seconds: 10, cases: ['10000'], applications: ['events'] },
  quick: { rounds: 1, seconds: 5, cases: ['10000'], applications: ['events'], contenders: ['nwsgi-embedded'] },
  takes: ({ seconds, streams }) => seconds + 4 + streams / 2500,
  check: (place) => place.check({ body: 'Hello world\n' }),
  async measure({ place, load, seconds, streams }) {
    await load.node(client, [place.url('/events'), 16, 1]);
    await sleep(500);
    const before = place.memory().rss;
    const sampler = new Sampler(place, { every: 250 });
    let result;
    let ended;
    try {
      result = await load.node(client, [place.url('/events'), streams, seconds]);
      ended = performance.now();
    } catch (error) {
      sampler.stop();
      throw error;
    }
    const { usual, busy } = sampler.stop({ from: ended - seconds * 1000 + 200, to: ended - 200 });
    const errors = Object.entries(result.errors).map(([name, count]) => `${count} ${name}`);
    if (errors.length > 0) throw new Error(`${errors.join(', ')} of ${streams} streams`);
    const { p50, p99, max } = result;
    return { p50, p99, lag: max, cpu: (busy * 1e6) / streams, each: (usual - before) / streams, events: result.events / seconds };
  },
};
