/** A file with the process number of a supervisor, as Gunicorn keeps it. */
import { chownSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { CliError } from './failure.js';
import type { Identity } from './identity.js';

/** The process that the file names, if it runs. */
export function runningPid(file: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
  const pid = /^[1-9]\d*$/.test(text) ? Number(text) : 0;
  return pid > 0 && isRunning(pid) ? pid : undefined;
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export class PidFile {
  #path: string;

  /** Writes the file; it will belong to `owner`. @throws CliError when its process runs, or the file cannot be written. */
  constructor(path: string, owner?: Identity) {
    this.#path = path;
    const other = runningPid(path);
    if (other !== undefined && other !== process.pid) throw new CliError('NWSGI4304', `${path} names process ${other}, which is running. Stop it ("kill ${other}"), or use another --pid-file`);
    const unfinished = `${path}.${process.pid}`;
    try {
      writeFileSync(unfinished, `${process.pid}\n`, { flag: 'wx', mode: 0o644 });
      if (owner !== undefined) chownSync(unfinished, owner.uid, owner.gid);
      renameSync(unfinished, path);
    } catch (error) {
      throw new CliError('NWSGI4304', `the process file ${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? ''})`);
    }
  }

  get path(): string {
    return this.#path;
  }

  /** Takes the name of a predecessor that has gone. False when that is not possible. */
  rename(path: string): boolean {
    try {
      renameSync(this.#path, path);
    } catch {
      return false;
    }
    this.#path = path;
    return true;
  }

  /** Removes the file if it is still this process's. */
  remove(): void {
    try {
      if (readFileSync(this.#path, 'utf8').trim() === String(process.pid)) unlinkSync(this.#path);
    } catch {
      // Somebody else removed it, or the folder belongs to root: the next start sees that the process is gone.
    }
  }
}
