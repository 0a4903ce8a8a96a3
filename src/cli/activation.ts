/** Sockets that systemd (or whoever speaks its protocol) opened for this process: sd_listen_fds(3). */

const FIRST = 3;

export interface ActivatedSocket {
  readonly fd: number;
  /** FileDescriptorName= of the socket unit; its own name by default. */
  readonly name: string;
}

export interface Activation {
  readonly sockets: readonly ActivatedSocket[];
  /** Why sockets that seem to be there are not used. */
  readonly warning?: string;
}

/** Reads the variables and removes them, so that no worker takes them for its own. */
export function takeActivation(env: NodeJS.ProcessEnv, pid: number): Activation {
  const { LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES } = env;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name];
  const number = Number(LISTEN_FDS);
  if (LISTEN_FDS === undefined || LISTEN_PID === undefined || !Number.isInteger(number) || number < 1) return { sockets: [] };
  if (Number(LISTEN_PID) !== pid) {
    return { sockets: [], warning: `the sockets of LISTEN_FDS are for process ${LISTEN_PID}, and this one is ${pid}: start nwsgi itself, not a shell, npm or npx that starts it` };
  }
  const names = LISTEN_FDNAMES?.split(':') ?? [];
  return { sockets: Array.from({ length: number }, (_, i) => ({ fd: FIRST + i, name: names[i] || 'unknown' })) };
}
