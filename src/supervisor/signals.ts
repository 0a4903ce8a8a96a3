/** What signals of httpd's parent and of administrators mean; the same ones as Gunicorn's. */
import type { Supervisor } from './supervisor.js';

export function obeySignals(supervisor: Supervisor): void {
  const on = (signal: NodeJS.Signals, act: () => unknown): void => void process.on(signal, act);
  on('SIGHUP', () => {
    supervisor.reopenLogs();
    return supervisor.reload();
  });
  on('SIGTERM', () => supervisor.stop('graceful'));
  on('SIGINT', () => supervisor.stop('quick'));
  on('SIGQUIT', () => supervisor.stop('quick'));
  on('SIGTTIN', () => supervisor.addWorker());
  on('SIGTTOU', () => supervisor.removeWorker());
  on('SIGUSR1', () => supervisor.reopenLogs());
  // The terminal of whoever started httpd may go.
  on('SIGPIPE', () => undefined);
}
