/**
 * SIGUSR2: another supervisor is started from the files as they are now, on the same sockets. Both serve until one of them
 * is told to stop. The two are connected by an IPC channel, whose end tells each that the other is gone.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import type { ActivatedSocket } from './activation.js';
import type { Inherited, OpenListener } from './listeners.js';

const VARIABLE = 'NWSGI_SUCCEEDS';

interface Legacy {
  readonly predecessor: number;
  readonly sockets: readonly Inherited[];
  readonly activated: readonly ActivatedSocket[];
}

/** What this process got from a predecessor, if it has one. The variable is removed: it is not for workers. */
export function takeLegacy(env: NodeJS.ProcessEnv): Legacy | undefined {
  const text = env[VARIABLE];
  delete env[VARIABLE];
  if (text === undefined || process.send === undefined) return undefined;
  // The channel is no reason to go on.
  process.channel?.unref();
  return JSON.parse(text) as Legacy;
}

/** Tells the predecessor that this process serves. */
export function tellPredecessor(): void {
  if (process.connected) process.send?.({ nwsgi: 'serving' }, undefined, {}, () => {});
}

/** The folder in which the command was given, by the name that the shell has for it: deployments move symbolic links. */
export function startDirectory(env: NodeJS.ProcessEnv): string {
  const real = process.cwd();
  const named = env['PWD'];
  if (named === undefined || !named.startsWith('/')) return real;
  try {
    const [a, b] = [statSync(named), statSync(real)];
    return a.dev === b.dev && a.ino === b.ino ? named : real;
  } catch {
    return real;
  }
}

export interface SuccessorEvents {
  onServing(): void;
  onExit(status: string): void;
}

export class Successor {
  readonly #child: ChildProcess;
  #serving = false;
  #alive = true;

  constructor(listeners: readonly OpenListener[], activated: readonly ActivatedSocket[], directory: string, variables: Record<string, string>, events: SuccessorEvents) {
    const { stdio, sockets } = arrange(listeners);
    const legacy: Legacy = { predecessor: process.pid, sockets, activated };
    const env = { ...process.env, ...variables, PWD: directory, [VARIABLE]: JSON.stringify(legacy) };
    this.#child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], { cwd: directory, env, stdio: [...stdio, 'ipc'] });
    this.#child.on('message', (message: { nwsgi?: string }) => {
      if (message.nwsgi !== 'serving') return;
      this.#serving = true;
      events.onServing();
    });
    const ended = (status: string): void => {
      if (!this.#alive) return;
      this.#alive = false;
      events.onExit(status);
    };
    this.#child.on('error', (error) => ended(error.message));
    this.#child.on('exit', (code, signal) => ended(signal === null ? `exit code ${code}` : `signal ${signal}`));
    // The end of this process does not wait for the other one.
    this.#child.unref();
    this.#child.channel?.unref();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** It serves, and would go on without this process. */
  get serving(): boolean {
    return this.#alive && this.#serving;
  }
}

/** Descriptors that the command line names keep their numbers, the others take what is left from 3 on. */
function arrange(listeners: readonly OpenListener[]): { stdio: ('inherit' | 'ignore' | number)[]; sockets: Inherited[] } {
  const at = new Map<number, number>();
  const isFixed = ({ key }: OpenListener): boolean => / fd:\d+$/.test(key);
  const fixed = listeners.filter(isFixed);
  for (const { fd } of fixed) at.set(fd, fd);
  let next = 3;
  const sockets = [...fixed, ...listeners.filter((one) => !isFixed(one))].map((listener): Inherited => {
    if (isFixed(listener)) return { fd: listener.fd, key: listener.key };
    while (at.has(next)) next += 1;
    at.set(next, listener.fd);
    return { fd: next, key: listener.key };
  });
  const stdio: ('inherit' | 'ignore' | number)[] = ['inherit', 'inherit', 'inherit'];
  for (let fd = 3; fd <= Math.max(2, ...at.keys()); fd++) stdio.push(at.get(fd) ?? 'ignore');
  return { stdio, sockets };
}
