/** Users and groups by name or number, and becoming one of them. */
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import { CliError, usageError } from './failure.js';
import { errorName } from './support.js';
import type { Support } from './support.js';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Groups besides `gid`. */
  readonly groups: readonly number[];
  readonly user: string;
  readonly home: string;
}

/** Looks a name up wherever the system keeps its users (files, LDAP …): fields of the line, or undefined. */
function lookUp(database: 'passwd' | 'group', named: string): string[] | undefined {
  // "#1000" is how Apache writes a number.
  const name = named.replace(/^#(?=\d+$)/, '');
  try {
    // Names reach getent as an argument of its own; no shell reads them.
    const line = execFileSync('getent', [database, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return line.trim().split(':');
  } catch {
    return undefined;
  }
}

export function groupId(name: string, option: string): number {
  const fields = lookUp('group', name);
  if (fields !== undefined) return Number(fields[2]);
  if (/^#?\d+$/.test(name)) return Number(name.replace('#', ''));
  throw usageError(`--${option} ${name}: there is no such group`);
}

function account(name: string, option: string): Pick<Identity, 'uid' | 'gid' | 'user' | 'home'> {
  const fields = lookUp('passwd', name);
  if (fields === undefined) throw usageError(`--${option} ${name}: there is no such user`);
  return { user: fields[0] as string, uid: Number(fields[2]), gid: Number(fields[3]), home: fields[5] ?? '/' };
}

export const userId = (name: string, option: string): number => account(name, option).uid;

/** Name of the user of this process; its number where nobody has given it a name, as in some containers. */
export function ownName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

/** Numbers of all groups of a user. */
function groupsOf(user: string): number[] {
  try {
    return execFileSync('id', ['-G', '--', user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim().split(/\s+/).map(Number);
  } catch {
    return [];
  }
}

/**
 * What a Node has queued with io_uring keeps root's rights when the process gives them up (CVE-2024-22017). One that may use it
 * (Debian's Node 20) refuses to change its user; such a process is started anew without it, before anything is opened. It stays
 * the same process, and workers inherit that, as is Node's own default.
 */
export function startWithoutIoUring(support: Support, env: NodeJS.ProcessEnv): void {
  if (process.getuid?.() !== 0 || env.UV_USE_IO_URING === '0') return;
  try {
    process.setgroups?.(process.getgroups?.() ?? []);
  } catch {
    const variables = Object.entries({ ...env, UV_USE_IO_URING: '0' }).map(([name, value]) => `${name}=${value}`);
    support.replaceProcess(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], variables, 3 + Number(env.LISTEN_FDS ?? 0));
  }
}

export interface WantedIdentity {
  user?: string;
  group?: string;
  supplementaryGroups?: string[];
}

/** Whom to become, or undefined to stay. @throws CliError for a user that is root, unknown, or out of reach. */
export function wantedIdentity({ user, group, supplementaryGroups }: WantedIdentity): Identity | undefined {
  if (user === undefined && group === undefined && supplementaryGroups === undefined) return undefined;
  const own = process.getuid?.() ?? 0;
  const { uid, gid, user: name, home } = account(user ?? String(own), 'user');
  const identity: Identity = {
    user: name,
    uid,
    home,
    gid: group === undefined ? gid : groupId(group, 'group'),
    groups: supplementaryGroups?.map((one) => groupId(one, 'supplementary-groups')) ?? groupsOf(name),
  };
  if (identity.uid === 0) throw usageError(`--user ${user ?? name}: applications do not run as root. Name another user`);
  if (own === 0) return identity;
  // It has become that already: a successor of a server that root started.
  const has = new Set(process.getgroups?.());
  if (identity.uid === own && identity.gid === process.getgid?.() && (supplementaryGroups === undefined || identity.groups.every((gid) => has.has(gid)))) return undefined;
  throw new CliError('NWSGI4303', `only root can become ${user === undefined ? `a member of ${group ?? supplementaryGroups?.join(',') ?? ''}` : `user ${user}`}; this process belongs to ${ownName()}`);
}

/** Gives up root for good. `env` gets the variables of the user. */
export function become(support: Support, { uid, gid, groups, user, home }: Identity, env: NodeJS.ProcessEnv): void {
  const result = support.becomeUser(uid, gid, [...new Set([gid, ...groups])]);
  if (result !== 0) throw new CliError('NWSGI4303', `this process cannot become user ${user} (${errorName(result)})`);
  Object.assign(env, { USER: user, LOGNAME: user, HOME: home });
}
