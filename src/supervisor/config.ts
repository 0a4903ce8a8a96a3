/** What a supervisor is told at its start: by httpd's parent process as JSON, or by `nwsgi serve`. */
import type { PythonConfig } from '../native.js';
import type { Listener, PreloadedScript, ServedScript } from './messages.js';
import { pythonConfig } from './python-config.js';

/** A script that is loaded before the first request for its application group. */
export interface GroupPreload extends PreloadedScript {
  applicationGroup: string;
}

/** Durations are milliseconds, sizes bytes; 0 switches a limit off. */
export interface SupervisorConfig {
  /** Name of the process group. */
  name: string;
  serverSoftware: string;
  /** The compiled gateway, dist/. */
  gatewayDirectory: string;
  /** Absolute path of nwsgi_bridge.node. */
  bridge: string;
  /** httpd's parent; 0 without one. */
  serverPid: number;
  /** Listening socket on which children say hello, or -1. */
  helloFd: number;
  /** Memory that children, supervisor and workers share, or -1: it is made. */
  scoreboardFd: number;
  /** Its end of file says that nobody needs this supervisor any more; -1 without. */
  lifelineFd: number;
  /** Socket on which httpd's parent passes a new error log; -1 without. */
  controlFd: number;
  /** Absolute path of the Node binary of the workers. */
  node: string;
  nodeOptions: string[];
  env: Record<string, string>;
  /** Working directory of the workers; '' for that of the supervisor. */
  home: string;
  displayName: string;

  processes: number;
  minProcesses: number;
  maxProcesses: number;
  /** Most requests at a time in one worker; of a Python application as many as it has threads, see {@link PythonConfig}. */
  threads: number;
  maximumRequests: number;
  /** Percent by which limits of single workers differ, so that they are not reached at the same time. */
  maximumRequestsJitter: number;
  restartInterval: number;
  cpuTimeLimit: number;
  inactivityTimeout: number;
  requestTimeout: number;
  interruptTimeout: number;
  deadlockTimeout: number;
  startupTimeout: number;
  gracefulTimeout: number;
  /** Replaces gracefulTimeout where workers leave because of a reload; 0: the same. */
  evictionTimeout: number;
  shutdownTimeout: number;
  queueTimeout: number;
  queueLimit: number;
  socketTimeout: number;
  connectTimeout: number;
  memorySoftLimit: number;
  memoryLimit: number;
  heapLimit: number;
  cpuPriority: number;
  /** False: no script is watched. */
  reloading: boolean;
  preload: GroupPreload[];
  /** Without httpd: workers accept connections from these themselves. */
  listen: Listener[];
  /** Without httpd: what every request is for. */
  script: ServedScript | null;
  /** httpd's number; less important lines are not written. */
  logLevel: number;
  /** Absolute path that reopenLogs() opens again; '' when whoever started the supervisor takes care of it. */
  errorLog: string;
  python: Partial<PythonConfig>;
}

type NumberField = { [K in keyof SupervisorConfig]: SupervisorConfig[K] extends number ? K : never }[keyof SupervisorConfig];

/** Default, least and greatest value. */
const NUMBERS: Record<NumberField, readonly [fallback: number, least: number, most: number]> = {
  serverPid: [0, 0, 2 ** 31],
  helloFd: [-1, -1, 2 ** 20],
  scoreboardFd: [-1, -1, 2 ** 20],
  lifelineFd: [-1, -1, 2 ** 20],
  controlFd: [-1, -1, 2 ** 20],
  processes: [1, 1, 256],
  minProcesses: [0, 0, 256],
  maxProcesses: [0, 0, 256],
  threads: [256, 1, 1_000_000],
  maximumRequests: [0, 0, 2 ** 48],
  maximumRequestsJitter: [10, 0, 100],
  restartInterval: [0, 0, 2 ** 48],
  cpuTimeLimit: [0, 0, 2 ** 48],
  inactivityTimeout: [0, 0, 2 ** 48],
  requestTimeout: [0, 0, 2 ** 48],
  interruptTimeout: [2_000, 0, 2 ** 48],
  deadlockTimeout: [300_000, 0, 2 ** 48],
  startupTimeout: [60_000, 0, 2 ** 48],
  gracefulTimeout: [15_000, 0, 2 ** 48],
  evictionTimeout: [0, 0, 2 ** 48],
  shutdownTimeout: [5_000, 0, 2 ** 48],
  queueTimeout: [0, 0, 2 ** 48],
  queueLimit: [1_000, 0, 2 ** 31],
  socketTimeout: [0, 0, 2 ** 48],
  connectTimeout: [15_000, 0, 2 ** 48],
  memorySoftLimit: [0, 0, 2 ** 48],
  memoryLimit: [0, 0, 2 ** 48],
  heapLimit: [0, 0, 2 ** 48],
  cpuPriority: [0, -20, 19],
  logLevel: [5, 0, 15],
};

const TEXTS = { name: '', serverSoftware: '', gatewayDirectory: '', bridge: '', node: '', home: '', displayName: '', errorLog: '' } as const;
/** Timers of Node take less than 2^31 milliseconds, and some of these are added. Eleven days are for ever here. */
const TIMERS = ['startupTimeout', 'gracefulTimeout', 'evictionTimeout', 'shutdownTimeout'] as const;
const LONGEST_TIMER = 1_000_000_000;

const TYPES: readonly PreloadedScript['type'][] = ['auto', 'wsgi', 'node', 'fetch'];
const ABSOLUTE = ['gatewayDirectory', 'bridge', 'node'] as const;

/** A configuration that nobody can work with; `message` names the field. */
export class ConfigError extends Error {}

/**
 * Completes and checks a configuration. Fields that are not known are left out: whoever writes them knows a newer version.
 *
 * @throws ConfigError for the first field that has a wrong type or value.
 */
export function completeConfig(given: unknown): SupervisorConfig {
  const source = record(given, 'the configuration');
  const config: Partial<Record<keyof SupervisorConfig, unknown>> = {};
  for (const [name, [fallback, least, most]] of Object.entries(NUMBERS)) {
    const value = source[name] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw new ConfigError(`${name} is to be a whole number from ${least} to ${most}, not ${JSON.stringify(value)}`);
    }
    config[name as NumberField] = value;
  }
  for (const name of TIMERS) config[name] = Math.min(config[name] as number, LONGEST_TIMER);
  for (const [name, fallback] of Object.entries(TEXTS)) config[name as keyof typeof TEXTS] = text(source[name] ?? fallback, name);
  for (const name of ABSOLUTE) {
    if (!String(config[name]).startsWith('/')) throw new ConfigError(`${name} is to be an absolute path, not ${JSON.stringify(config[name])}`);
  }
  config.nodeOptions = array(source['nodeOptions'] ?? [], 'nodeOptions').map((option) => text(option, 'nodeOptions'));
  config.env = Object.fromEntries(Object.entries(record(source['env'] ?? {}, 'env')).map(([name, value]) => [name, text(value, `env.${name}`)]));
  config.reloading = boolean(source['reloading'] ?? true, 'reloading');
  config.preload = array(source['preload'] ?? [], 'preload').map((entry, i) => preload(entry, `preload[${i}]`));
  config.listen = array(source['listen'] ?? [], 'listen').map((entry, i) => listener(entry, `listen[${i}]`));
  config.script = source['script'] === null || source['script'] === undefined ? null : servedScript(source['script']);
  config.python = pythonConfig(record(source['python'] ?? {}, 'python'));
  return withProcesses(config as unknown as SupervisorConfig);
}

/** `processes` are started; between the bounds their number follows the load. 0 for a bound: no room that way. */
function withProcesses(config: SupervisorConfig): SupervisorConfig {
  config.minProcesses ||= config.processes;
  config.maxProcesses ||= Math.max(config.processes, config.minProcesses);
  if (config.minProcesses > config.maxProcesses) {
    throw new ConfigError(`minProcesses (${config.minProcesses}) is more than maxProcesses (${config.maxProcesses})`);
  }
  config.processes = Math.min(Math.max(config.processes, config.minProcesses), config.maxProcesses);
  if (config.helloFd >= 0 === config.listen.length > 0) throw new ConfigError('either helloFd or listen is to be given');
  if (config.listen.length > 0 && config.script === null) throw new ConfigError('listen needs script');
  return config;
}

function preload(given: unknown, where: string): GroupPreload {
  const source = record(given, where);
  return {
    applicationGroup: text(source['applicationGroup'] ?? '', `${where}.applicationGroup`),
    script: text(source['script'], `${where}.script`),
    callable: text(source['callable'] ?? 'application', `${where}.callable`),
    type: applicationType(source['type'] ?? 'auto', where),
    reloading: boolean(source['reloading'] ?? true, `${where}.reloading`),
    environment: variables(source['environment'] ?? '', `${where}.environment`),
    imported: boolean(source['imported'] ?? false, `${where}.imported`),
  };
}

function listener(given: unknown, where: string): Listener {
  const source = record(given, where);
  const { fd, protocol } = source;
  if (typeof fd !== 'number' || !Number.isInteger(fd) || fd < 0) throw new ConfigError(`${where}.fd is to be a descriptor`);
  if (protocol !== 'fastcgi' && protocol !== 'http') throw new ConfigError(`${where}.protocol is to be fastcgi or http`);
  return { fd, protocol, description: text(source['description'] ?? `descriptor ${fd}`, `${where}.description`) };
}

function servedScript(given: unknown): ServedScript {
  const source = record(given, 'script');
  const errorPage = source['errorPage'] ?? 'production';
  if (errorPage !== 'production' && errorPage !== 'development') throw new ConfigError('script.errorPage is to be production or development');
  return {
    path: text(source['path'], 'script.path'),
    callable: text(source['callable'] ?? 'application', 'script.callable'),
    type: applicationType(source['type'] ?? 'auto', 'script'),
    mount: text(source['mount'] ?? '', 'script.mount'),
    errorPage,
    reloading: boolean(source['reloading'] ?? true, 'script.reloading'),
  };
}

function applicationType(value: unknown, where: string): PreloadedScript['type'] {
  const type = text(value, `${where}.type`);
  const known = TYPES.find((name) => name === type);
  if (known === undefined) throw new ConfigError(`${where}.type is to be one of ${TYPES.join(', ')}, not ${JSON.stringify(value)}`);
  return known;
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ConfigError(`${where} is to be an object`);
  return value as Record<string, unknown>;
}

function array(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw new ConfigError(`${where} is to be a list`);
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string' || value.includes('\0')) throw new ConfigError(`${where} is to be a text`);
  return value;
}

/** NAME=value, each ended by a NUL: see NativeBridge.config. */
function variables(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new ConfigError(`${where} is to be a text`);
  return value;
}

function boolean(value: unknown, where: string): boolean {
  if (typeof value !== 'boolean') throw new ConfigError(`${where} is to be true or false`);
  return value;
}
