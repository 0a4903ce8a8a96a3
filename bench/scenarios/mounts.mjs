// Whether a request costs more where there are many mounts, virtual hosts and applications.
import { APPLICATIONS, HOSTS, MOUNTS } from '../contenders/many.mjs';
import { requestFigures } from '../lib/request-figures.mjs';

const path = `/mount-${MOUNTS - 1}`;
const headers = { Host: `host-${HOSTS / 2}.test` };

export default {
  name: 'mounts',
  title: `${MOUNTS} mounts, ${HOSTS} virtual hosts and ${APPLICATIONS} applications against one`,
  applications: [{ name: 'mounts', title: 'Hello world', mounts: 'hello.mjs', check: { path } }],
  cases: [{ name: '32', title: '32 connections', connections: 32 }],
  contenders: ['one-mount', 'many-mounts'],
  columns: ['rate', 'p50', 'p99', 'cpu', 'pss'],
  full: { rounds: 6, seconds: 1 },
  quick: false,
  async check(place, load) {
    const { status, received } = await load.curl(place.url(path), { headers });
    if (status !== 200 || received !== 12) throw new Error(`${path} of ${headers.Host} answers ${status} with ${received} bytes`);
  },
  async warmUp(place, load) {
    // Every application runs, and has served.
    for (let index = 0; index < APPLICATIONS; index += 1) {
      await load.curl(place.url(`/mount-${index}`), { headers });
    }
    await load.wrk(place.url(path), { connections: 32, seconds: 2, headers });
  },
  measure: ({ place, load, seconds, connections }) => requestFigures(place, load, place.url(path), { connections, seconds, headers }),
};
