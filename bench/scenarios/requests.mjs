// The first page of each application, on connections that are kept alive.
import { requestFigures } from '../lib/request-figures.mjs';

export default {
  name: 'requests',
  title: 'Hello world: requests on connections that are kept alive',
  applications: ['hello', 'http', 'express', 'fastify', 'hono', 'python', 'flask', 'django'],
  cases: [
    { name: '32', title: '32 connections', connections: 32 },
    { name: '1', title: '1 connection', connections: 1 },
    { name: '1000', title: '1,000 connections', connections: 1000 },
  ],
  columns: ['rate', 'p50', 'p99', 'p999', 'cpu', 'pss'],
  full: { rounds: { hello: 7, other: 3 }, seconds: 1 },
  quick: { rounds: 3, seconds: 1, cases: ['32'] },
  check: (place) => place.check({ body: 'Hello world\n' }),
  warmUp: (place, load) => load.wrk(place.url('/'), { connections: 32, seconds: 1 }),
  measure: ({ place, load, seconds, connections }) => requestFigures(place, load, place.url('/'), { connections, seconds }),
};
