/** What /proc says about a server's processes. */
import { readFileSync, readdirSync } from 'node:fs';

export interface ProcessInfo {
  pid: number;
  parent: number;
  session: number;
  /** R, S, D, Z, … */
  state: string;
  name: string;
}

export function processInfo(pid: number): ProcessInfo | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name is in parentheses and may itself contain spaces and parentheses.
  const end = text.lastIndexOf(')');
  const name = text.slice(text.indexOf('(') + 1, end);
  const rest = text.slice(end + 2).split(' ');
  return { pid, name, state: rest[0] as string, parent: Number(rest[1]), session: Number(rest[3]) };
}

export function allProcesses(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processInfo(Number(name)) ?? []);
}

/** Processes of the session `leader` that are still there, zombies excepted. */
export function sessionProcesses(leader: number): ProcessInfo[] {
  return allProcesses().filter((process) => process.session === leader && process.state !== 'Z');
}

export function childProcesses(parent: number): ProcessInfo[] {
  return allProcesses().filter((process) => process.parent === parent && process.state !== 'Z');
}

/** Resident memory in bytes; 0 for a process that is gone. */
export function residentBytes(pid: number): number {
  try {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Open descriptors; 0 for a process that is gone. */
export function openDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** User and system time in seconds. */
export function cpuSeconds(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(rest[11]) + Number(rest[12])) / 100;
  } catch {
    return 0;
  }
}
