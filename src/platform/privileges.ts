/** Calls that would change the process of the server. Node refuses them in an environment; here they say why. */
import { NwsgiError, Problem } from '../errors.js';

const REFUSED = {
  setuid: 'the user of this process is that of Apache (User), or of the daemon process',
  seteuid: 'the user of this process is that of Apache (User), or of the daemon process',
  setgid: 'the group of this process is that of Apache (Group), or of the daemon process',
  setegid: 'the group of this process is that of Apache (Group), or of the daemon process',
  setgroups: 'the groups of this process are those of Apache',
  initgroups: 'the groups of this process are those of Apache',
  abort: 'it would end all applications of this process; call process.exit()',
} as const;

/** The code by which Node itself refuses them. */
const CODE = 'ERR_WORKER_UNSUPPORTED_OPERATION';

export function refusePrivileges(): void {
  const own = process as unknown as Record<string, unknown>;
  for (const [name, reason] of Object.entries(REFUSED)) {
    own[name] = () => {
      throw refusal(`process.${name}() is refused: ${reason}`);
    };
  }
}

function refusal(text: string): Error {
  const error = new NwsgiError(Problem.privileges, `${Problem.privileges.code} ${text}`);
  return Object.assign(error, { code: CODE });
}
