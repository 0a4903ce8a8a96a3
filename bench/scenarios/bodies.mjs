// Bodies of 10 KiB and 1 MiB, down and up, and one of 12 bytes up. (12 bytes down: requests.mjs.)
import { requestFigures } from '../lib/request-figures.mjs';

const down = (name, title, path, length) => ({ name, title, path, length, method: 'GET', when: has(path) });
const up = (name, title, length) => ({ name, title, path: '/upload', send: length, method: 'POST', when: has('/upload') });

/** A contender that is not an application has some paths only. */
function has(path) {
  return (contender) => contender.paths === undefined || path in contender.paths;
}

export default {
  name: 'bodies',
  title: 'Bodies, 32 connections',
  applications: ['bodies'],
  cases: [
    down('10k-down', '10 KiB down', '/10k', 10 * 1024),
    down('1m-down', '1 MiB down', '/1m', 1024 * 1024),
    up('12-up', '12 B up', 12),
    up('10k-up', '10 KiB up', 10 * 1024),
    up('1m-up', '1 MiB up', 1024 * 1024),
  ],
  columns: ['rate', 'p99', 'cpu'],
  full: { rounds: 2, seconds: 1 },
  quick: false,
  async check(place, load, cases) {
    for (const { path, length, send, method } of cases) {
      const answer = send === undefined ? { length } : { body: `${send}\n` };
      await place.check({ path, method, send: send === undefined ? undefined : Buffer.alloc(send, 'x'), ...answer });
    }
  },
  measure: ({ place, load, seconds, path, method, send }) => requestFigures(place, load, place.url(path), { connections: 32, seconds, method, length: send }),
};
