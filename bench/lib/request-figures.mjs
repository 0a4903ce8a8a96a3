// The figures of many requests of one kind: what most scenarios measure.
import { wrkErrors } from './load.mjs';

/** Requests/s, latencies (ms), µs of CPU for each request, bytes resident afterwards. Throws when there was an error. */
export async function requestFigures(place, load, url, options) {
  const before = place.cpu();
  const result = await load.wrk(url, options);
  const cpu = place.cpu() - before;
  const errors = wrkErrors(result.errors);
  if (errors !== '') throw new Error(`${errors} of ${result.requests} requests`);
  if (result.requests === 0) throw new Error('no request was answered');
  const { pss, rss } = place.memory();
  return {
    rate: result.requests / result.seconds,
    p50: result.p50,
    p99: result.p99,
    p999: result.p999,
    max: result.max,
    cpu: (cpu * 1e6) / result.requests,
    pss,
    rss,
    throughput: result.bytes / result.seconds,
    loadBusy: result.busy / result.seconds,
  };
}
