/**
 * The working directory as an application has it: its own folder, and process.chdir(). The process has one directory and
 * it is the server's. Where the environment's thread has a directory of its own, that one is changed; what runs on other
 * threads (libuv's pool, with all asynchronous file system calls) gets absolute paths. Elsewhere synchronous calls get
 * them as well, and child processes are started in the directory.
 */
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { BridgeConfig, NativeBridge } from '../native.js';

type Call = (this: unknown, ...args: unknown[]) => unknown;

/** Functions of Node's binding whose first argument is a path. */
const ONE_PATH = ['access', 'open', 'openFileHandle', 'rmdir', 'rmSync', 'mkdir', 'readdir', 'stat', 'lstat', 'statfs', 'readlink', 'unlink', 'realpath', 'chmod', 'chown', 'lchown', 'utimes', 'lutimes', 'mkdtemp', 'existsSync', 'readFileUtf8', 'writeFileUtf8', 'cpSyncOverrideFile'];
/** … whose first two arguments are. */
const TWO_PATHS = ['rename', 'link', 'copyFile', 'cpSyncCheckPaths', 'cpSyncCopyDir'];
/** The first argument is what the link says, which stays as it is. */
const SECOND_PATH = ['symlink'];

const SLASH = 47;

/** The folder of the application that a script belongs to: the nearest one with a package.json, else its own. */
export function applicationFolder(script: string): string {
  const own = dirname(script);
  for (let folder = own; ; folder = dirname(folder)) {
    if (fs.existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) return own;
  }
}

export class WorkingDirectory {
  readonly #bridge: NativeBridge;
  /** Synchronous calls see the directory by themselves. */
  readonly #own: boolean;
  readonly #nodeChdir = process.chdir;
  #current: string;
  /** Until then everything is as Node has it. */
  #changed = false;

  constructor(bridge: NativeBridge, { ownDirectory }: BridgeConfig) {
    this.#bridge = bridge;
    this.#own = ownDirectory;
    this.#current = process.cwd();
  }

  /** Enters a folder, and from then on stands for the process's own directory. */
  enter(folder: string): void {
    if (!this.#changed) this.#install();
    this.#change(folder);
  }

  #change(directory: unknown): void {
    if (typeof directory !== 'string') {
      throw Object.assign(new TypeError(`The "directory" argument must be of type string. Received ${directory === null ? 'null' : `type ${typeof directory}`}`), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    const target = resolve(this.#current, directory);
    if (this.#own) this.#tellWorkers(target);
    const number = this.#own ? this.#bridge.changeDirectory(target) : problemWith(target);
    if (number !== 0) throw chdirError(number, this.#current, directory);
    // As getcwd() has it: without symbolic links.
    this.#current = fs.realpathSync.native(target);
  }

  /** Worker threads ask again for the directory when a number that Node keeps has changed; the rest of the call it refuses here. */
  #tellWorkers(target: string): void {
    try {
      this.#nodeChdir(target);
    } catch {
      // As was expected, or there is no such directory: the caller finds out.
    }
  }

  #install(): void {
    this.#changed = true;
    process.cwd = () => this.#current;
    process.chdir = (directory) => this.#change(directory);
    this.#patchFileSystem();
    if (!this.#own) this.#patchChildProcesses();
  }

  #absolute(path: unknown): unknown {
    if (typeof path === 'string') return path === '' || path.charCodeAt(0) === SLASH ? path : `${this.#current}/${path}`;
    if (!Buffer.isBuffer(path) || path.length === 0 || path[0] === SLASH) return path;
    return Buffer.concat([Buffer.from(`${this.#current}/`), path]);
  }

  #patchFileSystem(): void {
    const functions = bindingOf('fs');
    const Request = functions.FSReqCallback as unknown as new () => object;
    const patch = (names: readonly string[], first: number, last: number): void => {
      for (const name of names) {
        const original = functions[name];
        if (original !== undefined) functions[name] = this.#withPaths(original, first, last, Request);
      }
    };
    patch(ONE_PATH, 0, 0);
    patch(TWO_PATHS, 0, 1);
    patch(SECOND_PATH, 1, 1);
    const publicly = (module: Record<string, Call>, ...names: string[]): void => {
      for (const name of names) {
        const original = module[name] as Call;
        module[name] = (path, ...rest) => original.call(module, this.#absolute(path), ...rest);
      }
    };
    publicly(fs.promises as unknown as Record<string, Call>, 'opendir');
    publicly(fs as unknown as Record<string, Call>, 'opendir', ...(this.#own ? [] : ['opendirSync', 'watch']));
    syncBuiltinESMExports();
  }

  #withPaths(original: Call, first: number, last: number, Request: new () => object): Call {
    const own = this.#own;
    return (...args) => {
      // What an asynchronous call brings along: an object of its own class, or a symbol for promises.
      const elsewhere = !own || args.some((value) => typeof value === 'symbol' || value instanceof Request);
      if (elsewhere) for (let i = first; i <= last; i++) args[i] = this.#absolute(args[i]);
      return original(...args);
    };
  }

  #patchChildProcesses(): void {
    const start = ({ cwd, ...options }: { cwd?: unknown }): object => ({ ...options, cwd: this.#absolute(cwd ?? this.#current) });
    const { prototype } = childProcess.ChildProcess as unknown as { prototype: { spawn: Call } };
    const { spawn } = prototype;
    prototype.spawn = function (options) {
      return spawn.call(this, start(options as object));
    };
    const synchronous = bindingOf('spawn_sync');
    const spawnSync = synchronous.spawn as Call;
    synchronous.spawn = (options) => spawnSync(start(options as object));
  }
}

/** The functions of Node's own modules, which those look up with every call. */
function bindingOf(name: string): Record<string, Call | undefined> {
  const { binding } = process as unknown as { binding(name: string): Record<string, Call | undefined> };
  return binding.call(process, name);
}

function problemWith(directory: string): number {
  try {
    fs.accessSync(`${directory}/.`, fs.constants.X_OK);
    return 0;
  } catch (error) {
    return -Number((error as NodeJS.ErrnoException).errno);
  }
}

/** As process.chdir() throws it. */
function chdirError(number: number, from: string, to: string): Error {
  const [code = 'UNKNOWN', text = 'unknown error'] = getSystemErrorMap().get(-number) ?? [];
  const message = `${code}: ${text}, chdir '${from}' -> '${to}'`;
  return Object.assign(new Error(message), { errno: -number, code, syscall: 'chdir', path: from, dest: to });
}
