// CPU for each request at an equal rate: of as many requests as go, the server that answers more has busier processors.
import { requestFigures } from '../lib/request-figures.mjs';

export default {
  name: 'paced',
  title: 'At an equal rate: 32 connections, 8 ms before each request',
  applications: ['python', 'flask', 'hello'],
  cases: [{ name: 'paced', title: 'some 3,500/s' }],
  columns: ['rate', 'p50', 'p99', 'cpu'],
  full: { rounds: 3, seconds: 1, applications: ['python', 'flask'], contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'mod_wsgi-embedded', 'mod_wsgi-daemon'] },
  quick: false,
  check: (place) => place.check({ body: 'Hello world\n' }),
  warmUp: (place, load) => load.wrk(place.url('/'), { connections: 32, seconds: 1 }),
  measure: ({ place, load, seconds }) => requestFigures(place, load, place.url('/'), { connections: 32, seconds, pause: 8 }),
};
