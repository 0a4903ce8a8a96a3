import { sleep, waitFor, type HttpdServer } from '../harness/index.js';

/** Stops the server with SIGTERM; seconds until it was gone. Its log can still be read; withServer() checks what is left. */
export async function secondsToStop(s: HttpdServer): Promise<number> {
  // As HttpdServer.stop() does: httpd itself may crash while connections are just ending.
  await sleep(200);
  const begin = performance.now();
  process.kill(s.pid, 'SIGTERM');
  await waitFor('the server to stop', () => !s.running, 15_000);
  return (performance.now() - begin) / 1000;
}
