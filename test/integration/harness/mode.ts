/**
 * The two places where applications run. Every test file of this folder runs in both: embedded in httpd's children, and
 * (NWSGI_TEST_MODE=daemon, the project "daemon" of vitest.config.ts) in the workers of a process group.
 *
 * What a test says about a process holds for `appProcesses()` of the server in both modes. In daemon mode each application
 * group has workers of its own, so two mounts are in one process only when they share a group.
 */
import { childIdentity } from '../../../scripts/lib/server-root.mjs';

/** Applications run in the workers of a process group. */
export const daemon = process.env.NWSGI_TEST_MODE === 'daemon';

/** The process group in which applications run unless a test says otherwise: what `process-group=` takes. */
export const processGroup = daemon ? 'nwsgi-test' : '%{GLOBAL}';

/** With NWSGI_TEST_PARK_AFTER (such as "0") every server has this WSGIParkAfter, so that all tests run with parked requests. */
export function parkingDirectives(): string[] {
  const setting = process.env.NWSGI_TEST_PARK_AFTER;
  return setting ? [`WSGIParkAfter ${setting}`] : [];
}

/**
 * Directives that make the workers of a server; none in embedded mode.
 * @param options further options of WSGIDaemonProcess
 * @param directives what else the server has: its WSGINodeOptions, which are about embedded environments, hold for the workers too
 */
export function modeDirectives(options = '', directives: readonly string[] = []): string[] {
  if (!daemon) return [];
  const nodeOptions = directives.flatMap((line) => /^WSGINodeOptions (.*)$/.exec(line)?.[1] ?? []);
  const identity = childIdentity();
  const settings = [
    ...(/\bprocesses=/.test(options) ? [] : ['processes=1']),
    ...(identity ? [`user=${identity.user}`, `group=${identity.user}`] : []),
    ...(process.env.NWSGI_TEST_WORKER_NODE ? [`node=${process.env.NWSGI_TEST_WORKER_NODE}`] : []),
    ...(nodeOptions.length > 0 ? [`"node-options=${nodeOptions.join(' ')}"`] : []),
    ...(options === '' ? [] : [options]),
  ];
  return [`WSGIDaemonProcess ${processGroup} ${settings.join(' ')}`, `WSGIProcessGroup ${processGroup}`];
}
