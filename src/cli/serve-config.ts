/** Makes of the options of `nwsgi serve` what the supervisor is told. */
import { accessSync, constants, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, extname, join, resolve } from 'node:path';
import type { PythonConfig } from '../native.js';
import { isPythonScript } from '../python/recognise.js';
import type { SupervisorConfig } from '../supervisor/config.js';
import { CliError, usageError } from './failure.js';
import { listenAddress } from './listen-address.js';
import type { OpenListener, Wanted } from './listeners.js';
import type { ServeOptions } from './serve-options.js';
import { didYouMean } from './similar.js';
import { bridgePath, gatewayDirectory } from './support.js';
import { BadValue, showSize } from './values.js';

/** What the options say, checked as far as that is possible before anything is opened. */
export interface ServePlan {
  readonly script: string;
  readonly name: string;
  readonly home: string;
  readonly node: string;
  readonly wanted: readonly Wanted[];
  readonly processes: { readonly usual: number; readonly least: number; readonly most: number };
  /** Most requests at a time in one worker. */
  readonly threads: number;
  readonly python: Partial<PythonConfig>;
}

/** JavaScript multiplexes, the limit guards memory; Python has a thread for each request. */
const THREADS = 256;
const PYTHON_THREADS = 15;

const MOST_PROCESSES = 256;

/** @throws CliError */
export function planServe(script: string, options: ServeOptions, env: NodeJS.ProcessEnv, directory: string): ServePlan {
  const path = scriptPath(script, directory);
  const home = options.home === undefined ? dirname(path) : resolve(directory, options.home);
  const { memorySoftLimit, memoryLimit } = options;
  if (memoryLimit > 0 && memorySoftLimit > memoryLimit) throw usageError(`--memory-soft-limit ${showSize(memorySoftLimit)} is more than --memory-limit ${showSize(memoryLimit)}`);
  if (!isDirectory(home)) throw new CliError('NWSGI4303', `--home ${home} is no folder`);
  const isPython = isPythonScript(path);
  if (!isPython && (options.pythonHome !== undefined || options.pythonPath !== undefined)) throw usageError(`--python-home and --python-path are for Python: ${path} ends neither in .py nor in .wsgi`);
  const threads = options.threads ?? (isPython ? PYTHON_THREADS : THREADS);
  const number = processes(options, env);
  return {
    script: path,
    name: options.name ?? basename(path, extname(path)),
    home,
    node: nodePath(options.node, env, directory),
    wanted: [...addresses('http', options.http, directory), ...addresses('fastcgi', options.fastcgi, directory)],
    processes: number,
    threads,
    python: isPython ? pythonPlan(options, threads, number.most, directory) : {},
  };
}

function pythonPlan({ pythonHome, pythonPath = [], interruptTimeout }: ServeOptions, threads: number, processes: number, directory: string): Partial<PythonConfig> {
  const home = pythonHome === undefined ? '' : resolve(directory, pythonHome);
  if (home !== '' && !isDirectory(home)) throw new CliError('NWSGI4303', `--python-home ${home} is no folder`);
  return { home, path: pythonPath.map((folder) => resolve(directory, folder)), threads, processes, interruptTimeout, addons: dirname(bridgePath()) };
}

function scriptPath(script: string, directory: string): string {
  const path = resolve(directory, script);
  try {
    accessSync(path, constants.R_OK);
    if (statSync(path).isFile()) return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw new CliError('NWSGI4303', `${path} cannot be read (${code ?? ''})`);
    throw new CliError('NWSGI4303', `there is no file ${path}.${didYouMean(basename(path), neighbours(path))}`);
  }
  throw new CliError('NWSGI4303', `${path} is no file. Name the script that exports the application or calls listen()`);
}

function neighbours(path: string): string[] {
  try {
    return readdirSync(dirname(path)).filter((name) => /\.(?:[cm]?[jt]s|py|wsgi)$/.test(name));
  } catch {
    return [];
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function nodePath(node: string | undefined, env: NodeJS.ProcessEnv, directory: string): string {
  if (node === undefined) return process.execPath;
  const candidates = node.includes('/') ? [resolve(directory, node)] : (env['PATH'] ?? '').split(delimiter).filter(Boolean).map((folder) => join(folder, node));
  for (const candidate of candidates) {
    try {
      accessSync(candidate, constants.X_OK);
      if (statSync(candidate).isFile()) return realpathSync(candidate);
    } catch {
      // The next one.
    }
  }
  throw new CliError('NWSGI4303', `--node ${node}: there is no such program${node.includes('/') ? '' : ' in PATH'}`);
}

function addresses(protocol: 'http' | 'fastcgi', texts: readonly string[], directory: string): Wanted[] {
  return texts.map((text) => {
    try {
      return { protocol, address: listenAddress(text, directory) };
    } catch (error) {
      if (error instanceof BadValue) throw usageError(`--${protocol} ${JSON.stringify(text)} ${error.message}`);
      throw error;
    }
  });
}

function processes(options: ServeOptions, env: NodeJS.ProcessEnv): ServePlan['processes'] {
  const usual = options.processes ?? concurrency(env) ?? Math.max(options.minProcesses ?? 1, 1);
  const least = options.minProcesses ?? Math.min(usual, options.maxProcesses ?? usual);
  const most = options.maxProcesses ?? Math.max(usual, least);
  if (least > most) throw usageError(`--min-processes ${least} is more than --max-processes ${most}`);
  if (options.processes !== undefined && (usual < least || usual > most)) throw usageError(`--processes ${usual} is not between --min-processes ${least} and --max-processes ${most}`);
  return { usual: Math.min(Math.max(usual, least), most), least, most };
}

/** What platforms set for the number of workers, also for Gunicorn. */
function concurrency(env: NodeJS.ProcessEnv): number | undefined {
  const text = env['WEB_CONCURRENCY'];
  if (text === undefined || text === '') return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > MOST_PROCESSES) throw usageError(`WEB_CONCURRENCY is ${JSON.stringify(text)}: not a number from 1 to ${MOST_PROCESSES}`);
  return value;
}

/** The same names and values as WSGIDaemonProcess hands over, without what only httpd needs. */
export function supervisorConfig(plan: ServePlan, options: ServeOptions, listeners: readonly OpenListener[], version: string, errorLog: string): SupervisorConfig {
  return {
    name: plan.name,
    serverSoftware: `nwsgi/${version}`,
    gatewayDirectory,
    bridge: bridgePath(),
    serverPid: 0,
    helloFd: -1,
    scoreboardFd: -1,
    lifelineFd: -1,
    controlFd: -1,
    node: plan.node,
    nodeOptions: options.nodeOptions,
    env: environment(options),
    home: plan.home,
    displayName: options.displayName ?? '',
    processes: plan.processes.usual,
    minProcesses: plan.processes.least,
    maxProcesses: plan.processes.most,
    threads: plan.threads,
    maximumRequests: options.maximumRequests,
    maximumRequestsJitter: options.maximumRequestsJitter,
    restartInterval: options.restartInterval,
    cpuTimeLimit: options.cpuTimeLimit,
    inactivityTimeout: options.inactivityTimeout,
    requestTimeout: options.requestTimeout,
    interruptTimeout: options.interruptTimeout,
    deadlockTimeout: options.deadlockTimeout,
    startupTimeout: options.startupTimeout,
    gracefulTimeout: options.gracefulTimeout,
    evictionTimeout: options.evictionTimeout,
    shutdownTimeout: options.shutdownTimeout,
    socketTimeout: options.socketTimeout,
    memorySoftLimit: options.memorySoftLimit,
    memoryLimit: options.memoryLimit,
    heapLimit: options.heapLimit,
    // Set before root is given up; workers inherit it.
    cpuPriority: 0,
    queueTimeout: 0,
    queueLimit: 0,
    connectTimeout: 0,
    reloading: options.reload,
    preload: [],
    listen: listeners.map(({ fd, protocol, description }) => ({ fd, protocol, description })),
    script: { path: plan.script, callable: options.callableObject, type: options.applicationType, mount: options.mount, errorPage: options.errorPage, reloading: options.reload },
    logLevel: 5,
    errorLog,
    python: plan.python,
  };
}

function environment({ env, lang, locale }: ServeOptions): Record<string, string> {
  return { ...(lang === undefined ? {} : { LANG: lang }), ...(locale === undefined ? {} : { LC_ALL: locale }), ...Object.fromEntries(env) };
}
