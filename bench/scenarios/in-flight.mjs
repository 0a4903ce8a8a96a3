// Many requests that wait for their application: each connection asks again as soon as it has its answer, a second later.
import { setTimeout as sleep } from 'node:timers/promises';
import { wrkErrors } from '../lib/load.mjs';
import { Sampler } from '../lib/sampler.mjs';

const kibibytes = (value) => `${(value / 1024).toFixed(1)} KiB`;

/** One wave of load; memory of its second half, when every connection has had an answer. */
async function wave(place, load, { connections, seconds }) {
  const sampler = new Sampler(place);
  const began = performance.now();
  let result;
  try {
    result = await load.wrk(place.url('/'), { connections, seconds, timeout: 10 });
  } catch (error) {
    sampler.stop();
    throw error;
  }
  const memory = sampler.stop({ from: began + seconds * 500, to: began + seconds * 1000 });
  const errors = wrkErrors(result.errors);
  if (errors !== '') throw new Error(`${errors}, ${result.requests} answers`);
  return { ...result, memory };
}

export default {
  name: 'in-flight',
  title: 'Requests in flight: the application answers after one second',
  applications: [
    { name: 'slow', title: 'An answer after one second', wsgi: 'slow.mjs', node: 'slow-http.mjs', check: { path: '/1' } },
  ],
  cases: [
    { name: '10000', title: '10,000 in flight', connections: 10_000 },
    { name: '1000', title: '1,000 in flight', connections: 1000 },
  ],
  fresh: true,
  columns: ['rate', 'p50', 'p99', 'max', 'cpu', 'each', 'again', 'left'],
  figures: {
    each: { title: 'memory for each request', write: kibibytes },
    again: { title: '… in a second wave', write: kibibytes },
    left: { title: '… left afterwards', write: kibibytes },
  },
  full: { rounds: 1, seconds: 6, cases: ['10000'], contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'mod_proxy', 'node'] },
  quick: { rounds: 1, seconds: 6, cases: ['10000'], contenders: ['nwsgi-embedded'] },
  takes: ({ seconds }) => 2 * seconds + 7,
  check: (place) => place.check({ path: '/1', body: 'Hello world\n' }),
  async measure({ place, load, seconds, connections }) {
    // All that is made once is there: threads, compiled code.
    await load.wrk(place.url('/1'), { connections: 64, seconds: 1 });
    await sleep(500);
    const before = place.memory().rss;
    const cpu = place.cpu();
    const first = await wave(place, load, { connections, seconds });
    const used = place.cpu() - cpu;
    await sleep(2000);
    const left = place.memory().rss;
    const second = await wave(place, load, { connections, seconds });
    const { p50, p99, max } = first;
    return {
      rate: first.requests / first.seconds,
      p50,
      p99,
      max,
      cpu: (used * 1e6) / first.requests,
      each: (first.memory.usual - before) / connections,
      most: (first.memory.most - before) / connections,
      again: (second.memory.usual - before) / connections,
      left: (left - before) / connections,
    };
  },
};
