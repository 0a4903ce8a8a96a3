// The first page of each application, on connections that are kept alive.
import { requestFigures } from '../lib/request-figures.mjs';

export default {
  name: 'requests',
  title: 'Hello world: requests on connections that are kept alive',
  applications: ['hello', 'http', 'express', 'fastify', 'hono', 'python', 'flask', 'django'],
  cases: [
    { name: '32', title: '32 connections', connections: 32 },
    { name: '1', title: '1 connection', connections: 1, rounds: 2 },
    { name: '1000', title: '1,000 connections', connections: 1000, closing: true, rounds: 2 },
  ],
  columns: ['rate', 'p50', 'p99', 'p999', 'cpu', 'pss', 'lost'],
  full: { rounds: { hello: 6, other: 3 }, seconds: 1 },
  quick: {
    rounds: 2,
    seconds: 1,
    cases: ['32'],
    applications: ['hello', 'express', 'hono', 'flask'],
    contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'c-location', 'c-resolved', 'mod_proxy', 'mod_wsgi-embedded', 'mod_wsgi-daemon'],
  },
  check: (place) => place.check({ body: 'Hello world\n' }),
  warmUp: (place, load) => load.wrk(place.url('/'), { connections: 32, seconds: 1 }),
  measure: ({ place, load, seconds, connections, closing }) => requestFigures(place, load, place.url('/'), { connections, seconds, closing }),
};
