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

/**
 * Directives that make the workers of a server; none in embedded mode.
 * @param options further options of WSGIDaemonProcess
 */
export function modeDirectives(options = ''): string[] {
  if (!daemon) return [];
  const identity = childIdentity();
  const settings = [
    'processes=1',
    ...(identity ? [`user=${identity.user}`, `group=${identity.user}`] : []),
    ...(process.env.NWSGI_TEST_WORKER_NODE ? [`node=${process.env.NWSGI_TEST_WORKER_NODE}`] : []),
    ...(options === '' ? [] : [options]),
  ];
  return [`WSGIDaemonProcess ${processGroup} ${settings.join(' ')}`, `WSGIProcessGroup ${processGroup}`];
}
