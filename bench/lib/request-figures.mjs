// The figures of many requests of one kind: what most scenarios measure.
import { wrkErrors } from './load.mjs';

/**
 * Requests/s, latencies (ms), µs of CPU for each request, bytes resident afterwards. Throws when there was an error. `closing`: the
 * server may close connections that are kept alive, as httpd does when all its threads are busy; requests that were on their way
 * then are counted as `lost`.
 */
export async function requestFigures(place, load, url, { closing = false, ...options }) {
  const before = place.cpu();
  const result = await load.wrk(url, options);
  const cpu = place.cpu() - before;
  const { read, ...others } = result.errors;
  const errors = wrkErrors(closing ? others : result.errors);
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
    lost: read,
    loadBusy: result.busy / result.seconds,
  };
}
