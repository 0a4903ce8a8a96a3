/** `nwsgi reload`: asks a running `nwsgi serve`, or the supervisor of a process group, for a rolling reload. */
import { readFileSync } from 'node:fs';
import { CliError, ExitCode } from './failure.js';
import { runningPid } from './pid-file.js';

/** Another program would take the signal for something else: many end by it. */
function isOurs(pid: number): boolean {
  try {
    return /nwsgi|cli\/main\.js/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  } catch {
    return true; // no /proc here: the process file is believed
  }
}

/** Returns the exit code. @throws CliError when the file names no process of nwsgi that may be signalled. */
export function reload(pidFile: string): number {
  const pid = runningPid(pidFile);
  if (pid === undefined) throw new CliError('NWSGI4304', `${pidFile} names no running process. Is nwsgi serve started, with this --pid-file?`);
  if (!isOurs(pid)) throw new CliError('NWSGI4304', `${pidFile} names process ${pid}, which is not nwsgi. In Apache, process groups reload with "apachectl graceful"`);
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    throw new CliError('NWSGI4304', `process ${pid} of ${pidFile} cannot be signalled (${(error as NodeJS.ErrnoException).code ?? ''}). Be its user, or root`);
  }
  return ExitCode.ok;
}
