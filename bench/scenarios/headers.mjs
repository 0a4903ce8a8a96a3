// What more headers of a request cost.
import { requestFigures } from '../lib/request-figures.mjs';

/** As long as those that browsers send, on an average. */
const headers = (count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`X-Header-Number-${index}`, `the value of header ${index}, and a little more`]));

export default {
  name: 'headers',
  title: 'Requests with many headers',
  applications: ['hello', 'http'],
  cases: [
    { name: '8', title: '8 headers', count: 8 },
    { name: '64', title: '64 headers', count: 64 },
  ],
  contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'c-location', 'c-resolved', 'mod_proxy', 'node'],
  columns: ['rate', 'p50', 'p99', 'cpu'],
  full: { rounds: 3, seconds: 1, applications: ['hello'], contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'c-location', 'mod_proxy'] },
  quick: false,
  check: (place) => place.check({ body: 'Hello world\n' }),
  warmUp: (place, load) => load.wrk(place.url('/'), { connections: 32, seconds: 1, headers: headers(64) }),
  measure: ({ place, load, seconds, count }) => requestFigures(place, load, place.url('/'), { connections: 32, seconds, headers: headers(count) }),
};
