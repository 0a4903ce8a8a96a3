/**
 * The options of `nwsgi serve`: one table, from which they are parsed and by which `--help` shows them. Names and meanings are
 * those of WSGIDaemonProcess wherever it has them (docs/directives.md).
 */
import type { ApplicationType } from '../record.js';
import { assignment, count, duration, mode, mountPoint, nodeOptions, oneOf, percent, sizeFrom } from './values.js';
import type { Parse } from './values.js';

export interface ServeOptions {
  http: string[];
  fastcgi: string[];
  socketMode: number;
  socketUser?: string;
  socketGroup?: string;
  listenBacklog: number;
  sendBufferSize: number;
  receiveBufferSize: number;

  mount: string;
  callableObject: string;
  applicationType: ApplicationType;
  home?: string;
  pythonHome?: string;
  pythonPath?: string[];
  env: (readonly [string, string])[];
  lang?: string;
  locale?: string;
  errorPage: 'production' | 'development';
  reload: boolean;

  processes: number;
  minProcesses?: number;
  maxProcesses?: number;
  threads?: number;
  name?: string;
  displayName?: string;
  node?: string;
  nodeOptions: string[];
  user?: string;
  group?: string;
  supplementaryGroups?: string[];
  umask?: number;
  cpuPriority: number;

  maximumRequests: number;
  maximumRequestsJitter: number;
  restartInterval: number;
  cpuTimeLimit: number;
  inactivityTimeout: number;
  memorySoftLimit: number;
  memoryLimit: number;
  heapLimit: number;

  requestTimeout: number;
  interruptTimeout: number;
  deadlockTimeout: number;
  socketTimeout: number;
  startupTimeout: number;
  gracefulTimeout: number;
  evictionTimeout: number;
  shutdownTimeout: number;

  pidFile?: string;
  errorLog?: string;
}

export interface OptionRow {
  /** As commander takes it: "--threads <number>". */
  readonly flags: string;
  readonly text: string;
  readonly parse?: Parse<unknown>;
  /** Value when the option is not given. */
  readonly fallback?: unknown;
  /** How the fallback is shown, when it is not shown as it is. */
  readonly shown?: string;
  /** May be given more than once: `parse` returns a list, the lists are joined. */
  readonly repeat?: boolean;
}

export interface OptionGroup {
  readonly title: string;
  readonly rows: readonly OptionRow[];
}

const names: Parse<string[]> = (text) => text.split(',').filter(Boolean);
const folders: Parse<string[]> = (text) => text.split(':').filter(Boolean);
const one: Parse<string[]> = (text) => [text];

const MIB = 1024 ** 2;

export const groups: readonly OptionGroup[] = [
  {
    title: 'Where to listen (both may be given, and repeated)',
    rows: [
      { flags: '--http <address>', text: 'speak HTTP/1.1 there: 127.0.0.1:8080, [::1]:8080, *:8080, unix:/run/app.sock, systemd[:NAME], fd:3', parse: one, repeat: true, fallback: [], shown: '127.0.0.1:8000, when no address is given' },
      { flags: '--fastcgi <address>', text: 'speak FastCGI there, for NGINX, Apache, Caddy', parse: one, repeat: true, fallback: [] },
      { flags: '--socket-mode <mode>', text: 'permissions of unix sockets', parse: mode, fallback: 0o660, shown: '0660' },
      { flags: '--socket-user <user>', text: 'owner of unix sockets' },
      { flags: '--socket-group <group>', text: 'group of unix sockets: the one of the front server' },
      { flags: '--listen-backlog <number>', text: 'connections that may wait to be accepted', parse: count(1, 65535), fallback: 1024 },
      { flags: '--send-buffer-size <size>', text: "send buffer of each connection (0: the system's)", parse: sizeFrom(512), fallback: 0, shown: '0' },
      { flags: '--receive-buffer-size <size>', text: "receive buffer of each connection (0: the system's)", parse: sizeFrom(512), fallback: 0, shown: '0' },
    ],
  },
  {
    title: 'Application',
    rows: [
      { flags: '--mount <path>', text: 'URL below which the application lives', parse: mountPoint, fallback: '', shown: '/' },
      { flags: '--callable-object <name>', text: 'export (or name in a Python script) to call', fallback: 'application' },
      { flags: '--application-type <type>', text: 'auto, wsgi, node or fetch', parse: oneOf('auto', 'wsgi', 'node', 'fetch'), fallback: 'auto' },
      { flags: '--home <directory>', text: "working directory of the application (default: the script's)" },
      { flags: '--python-home <directory>', text: "virtual environment, or installation, of a Python script (default: the system's Python)" },
      { flags: '--python-path <directories>', text: 'folders, with colons, in which it finds its modules first', parse: folders },
      { flags: '--env <NAME=value>', text: 'adds to the environment of the application', parse: (text) => [assignment(text)], repeat: true, fallback: [] },
      { flags: '--lang <locale>', text: 'value of LANG' },
      { flags: '--locale <locale>', text: 'value of LC_ALL' },
      { flags: '--error-page <kind>', text: 'production, or development: errors in the browser', parse: oneOf('production', 'development'), fallback: 'production' },
      { flags: '--no-reload', text: 'do not replace the workers when the script changes' },
    ],
  },
  {
    title: 'Workers',
    rows: [
      { flags: '--processes <number>', text: 'worker processes', parse: count(1, 256), shown: '$WEB_CONCURRENCY or 1' },
      { flags: '--min-processes <number>', text: 'lower bound when the number follows the load', parse: count(1, 256) },
      { flags: '--max-processes <number>', text: 'upper bound when the number follows the load', parse: count(1, 256) },
      { flags: '--threads <number>', text: 'requests that one worker answers at a time', parse: count(1, 100_000), shown: '256; 15 for a script of Python, which has so many threads' },
      { flags: '--node <file>', text: 'Node binary of the workers, 18 or newer (default: the one that runs this command)' },
      { flags: '--node-options <options>', text: 'options of that binary, as one argument', parse: nodeOptions, repeat: true, fallback: [] },
      { flags: '--user <user>', text: 'user that everything runs as, once root has opened the sockets' },
      { flags: '--group <group>', text: "group (default: the user's)" },
      { flags: '--supplementary-groups <list>', text: "further groups, with commas (default: the user's)", parse: names },
      { flags: '--umask <mode>', text: 'permissions that new files do not get', parse: mode },
      { flags: '--cpu-priority <number>', text: 'nice value of the workers', parse: count(-20, 19), fallback: 0 },
      { flags: '--name <name>', text: "name of the process group (default: the script's, without its extension)" },
      { flags: '--display-name <text>', text: 'what ps shows' },
    ],
  },
  {
    title: 'When workers are replaced (0: never)',
    rows: [
      { flags: '--maximum-requests <number>', text: 'after so many requests', parse: count(0), fallback: 0 },
      { flags: '--maximum-requests-jitter <percent>', text: 'spread of that number, so that not all leave at once', parse: percent, fallback: 10, shown: '10%' },
      { flags: '--restart-interval <duration>', text: 'after so long', parse: duration, fallback: 0, shown: '0' },
      { flags: '--cpu-time-limit <duration>', text: 'after so much processor time', parse: duration, fallback: 0, shown: '0' },
      { flags: '--inactivity-timeout <duration>', text: 'after so long without a request', parse: duration, fallback: 0, shown: '0' },
      { flags: '--memory-soft-limit <size>', text: 'when it is idle and uses more', parse: sizeFrom(32 * MIB), fallback: 0, shown: '0' },
      { flags: '--memory-limit <size>', text: 'at once when it uses more', parse: sizeFrom(32 * MIB), fallback: 0, shown: '0' },
      { flags: '--heap-limit <size>', text: "size of JavaScript's heap (0: Node's default)", parse: sizeFrom(8 * MIB), fallback: 0, shown: '0' },
    ],
  },
  {
    title: 'How long things may take (0: any time)',
    rows: [
      { flags: '--request-timeout <duration>', text: 'an answer; then 504 and, if need be, a new worker', parse: duration, fallback: 0, shown: '0' },
      { flags: '--interrupt-timeout <duration>', text: 'from there until JavaScript that never yields is interrupted', parse: duration, fallback: 2000, shown: '2s' },
      { flags: '--deadlock-timeout <duration>', text: 'an event loop that does not turn', parse: duration, fallback: 300_000, shown: '5m' },
      { flags: '--socket-timeout <duration>', text: 'a client of --http that neither sends nor takes what is awaited', parse: duration, fallback: 60_000, shown: '60s' },
      { flags: '--startup-timeout <duration>', text: 'loading the application', parse: duration, fallback: 60_000, shown: '60s' },
      { flags: '--graceful-timeout <duration>', text: 'requests that are in progress at a reload or stop', parse: duration, fallback: 15_000, shown: '15s' },
      { flags: '--eviction-timeout <duration>', text: 'the same where new code is the reason (0: graceful-timeout)', parse: duration, fallback: 0, shown: '0' },
      { flags: '--shutdown-timeout <duration>', text: 'the end of a worker without requests', parse: duration, fallback: 5000, shown: '5s' },
    ],
  },
  {
    title: 'Operation',
    rows: [
      { flags: '--pid-file <file>', text: 'holds the process number of the supervisor' },
      { flags: '--error-log <file>', text: 'log (default: standard error); opened again at SIGUSR1' },
    ],
  },
];

/** Options of WSGIDaemonProcess that need Apache, and what there is instead. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  chroot: "systemd's RootDirectory= does that",
  'connect-timeout': 'the front server has one: fastcgi_connect_timeout in NGINX',
  'queue-timeout': 'connections wait in --listen-backlog; the front server limits how long',
  'queue-limit': 'connections wait in --listen-backlog',
  'header-buffer-size': 'the front server has one: fastcgi_buffer_size in NGINX',
  'response-buffer-size': 'the front server has some: fastcgi_buffers in NGINX',
  'virtual-memory-limit': "systemd's LimitAS= does that; --memory-limit counts what is really used",
  'script-user': 'it guards scripts that Apache finds; here the command line names one',
  'script-group': 'it guards scripts that Apache finds; here the command line names one',
};

const LEFT = 36;

/** The options as `--help` shows them. */
export function optionsHelp(): string {
  return groups
    .map(({ title, rows }) => {
      const lines = rows.map(({ flags, text, fallback, shown }) => {
        const usual = shown ?? (fallback === undefined || Array.isArray(fallback) ? undefined : String(fallback));
        return `  ${flags.padEnd(LEFT)}  ${text}${usual === undefined ? '' : ` (default: ${usual})`}`;
      });
      return `${title}:\n${lines.join('\n')}`;
    })
    .join('\n\n');
}
