// New code every second, by each server's own means (a touched script, a touched restart.txt, SIGHUP), while 32 connections load it.
import { setTimeout as sleep } from 'node:timers/promises';

const period = 1000;

export default {
  name: 'reload',
  title: 'Reload each second under load, 32 connections',
  applications: ['hello', 'python'],
  contenders: ['nwsgi-embedded', 'nwsgi-daemon', 'passenger', 'mod_wsgi-embedded', 'mod_wsgi-daemon', 'gunicorn', 'uwsgi'],
  cases: [{ name: 'reload', title: 'reload' }],
  columns: ['rate', 'p99', 'max', 'errors', 'reloads'],
  figures: { reloads: { title: 'reloads', write: (value) => String(value), more: true } },
  full: { rounds: 1, seconds: 4 },
  quick: false,
  check: (place) => place.check({ body: 'Hello world\n' }),
  warmUp: (place, load) => load.wrk(place.url('/'), { connections: 32, seconds: 1 }),
  async measure({ place, load, seconds }) {
    let reloads = 0;
    let over = false;
    const loaded = load.wrk(place.url('/'), { connections: 32, seconds, timeout: 30 }).finally(() => (over = true));
    while (!over) {
      await Promise.race([sleep(period), loaded]);
      if (over) break;
      place.reload();
      reloads += 1;
    }
    const result = await loaded;
    const errors = Object.values(result.errors).reduce((sum, count) => sum + count, 0);
    return { rate: result.requests / result.seconds, p99: result.p99, max: result.max, errors, reloads };
  },
};
