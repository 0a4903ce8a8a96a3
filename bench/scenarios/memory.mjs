// Whether the server grows: memory after the first hundred thousand requests, and after a million. Resident, not shared out among
// processes: what others map and unmap is no growth.
import { wrkErrors } from '../lib/load.mjs';

const percent = (value) => `${value >= 0 ? '+' : ''}${(100 * value).toFixed(1)} %`;
const FIRST = 100_000;
const ALL = 1_000_000;

/** Requests until `count` are answered. */
async function requests(load, url, count, connections) {
  let rate = 20_000;
  for (let done = 0; done < count; ) {
    const seconds = Math.max(1, Math.min(20, Math.ceil((count - done) / rate)));
    const result = await load.wrk(url, { connections, seconds });
    const errors = wrkErrors(result.errors);
    if (errors !== '' || result.requests === 0) throw new Error(`${errors}, ${result.requests} answers`);
    done += result.requests;
    rate = result.requests / result.seconds;
  }
}

export default {
  name: 'memory',
  title: 'Memory after one million requests',
  applications: ['hello', 'http', 'python'],
  contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'c-location', 'mod_proxy', 'node'],
  cases: [
    { name: 'auto', title: '32 connections', path: '/', connections: 32 },
    { name: 'parked', title: 'every request parked', path: '/parked', connections: 32, when: ({ name }) => name.startsWith('nwsgi') },
    { name: 'in-place', title: 'none parked', path: '/in-place', connections: 32, when: ({ name }) => name.startsWith('nwsgi') },
  ],
  apache: (contender) =>
    contender.name.startsWith('nwsgi')
      ? `<LocationMatch "/parked$">
  WSGIParkAfter 0
</LocationMatch>
<LocationMatch "/in-place$">
  WSGIParkAfter Off
</LocationMatch>`
      : '',
  fresh: true,
  columns: ['growth', 'rss', 'cpu'],
  figures: {
    growth: { title: 'growth after the first 100,000', write: percent },
    rss: { title: 'memory (RSS) at the end' },
  },
  full: { rounds: 1, applications: ['hello'], cases: ['auto'], contenders: ['nwsgi-embedded'] },
  quick: false,
  takes: () => 40,
  check: (place) => place.check({ body: 'Hello world\n' }),
  async measure({ place, load, path, connections }) {
    const url = place.url(path);
    await requests(load, url, FIRST, connections);
    const before = place.memory().rss;
    const cpu = place.cpu();
    await requests(load, url, ALL - FIRST, connections);
    const { rss } = place.memory();
    return { growth: rss / before - 1, rss, first: before, cpu: ((place.cpu() - cpu) * 1e6) / (ALL - FIRST) };
  },
};
