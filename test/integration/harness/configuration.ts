/** Turns a description of a server into httpd's configuration. */

export type Mpm = 'event' | 'worker' | 'prefork';

/** Directives, or a function that writes them once ports and folders are known. */
export type Directives<S> = string | readonly string[] | ((server: S) => string | readonly string[]);

export interface VirtualHost<S> {
  /** ServerName; "localhost" when absent. */
  name?: string;
  /** Index of the port: hosts with the same number share one. Each host has its own when absent. */
  port?: number;
  /** Serve TLS with a self-signed certificate. */
  tls?: boolean;
  /** Offer HTTP/2 (h2 over TLS, prior-knowledge h2c without). */
  http2?: boolean;
  directives?: Directives<S>;
}

export interface ServerOptions<S> {
  mpm?: Mpm;
  /** Children that run at a time: 1, or 2 with prefork. */
  children?: number;
  /**
   * Children for which there is room beside them (not with prefork): 0. In the worker MPM a restart finds a free slot only
   * by this, where an old child is held by a request. Its listener lets the idle threads go before it marks the child as
   * leaving (ap_queue_term(), then dying = 1). When all of them have left in between, they have noted "graceful", not
   * "dead"; the parent then takes the slot for one in use as long as the child lives, and with no other slot logs AH00288.
   * One graceful restart in twenty with a request open ends so here, also without nwsgi.
   */
  room?: number;
  /** Threads for each child (not with prefork): 8. */
  threads?: number;
  /** Modules beyond those that every server here has, without "mod_" and "_module". */
  modules?: readonly string[];
  /** Load mod_nwsgi: true. */
  nwsgi?: boolean;
  /** In daemon mode: further options of the WSGIDaemonProcess that every server gets. */
  daemonOptions?: string;
  /** Fixture applications that are copied into the server's folder of applications. */
  apps?: readonly string[];
  /** Server-level directives. */
  directives?: Directives<S>;
  /** One host without TLS when absent. */
  vhosts?: readonly VirtualHost<S>[];
  /** Environment of the httpd process, added to a small clean one. */
  env?: Record<string, string>;
  logLevel?: string;
  /** A child may end by a signal (its crash is what the test is about). */
  crashAllowed?: boolean;
  /** Standard output is /dev/null, as after httpd has detached from its terminal. */
  detached?: boolean;
}

const modulesFolder = '/usr/lib/apache2/modules';

/** Modules that every server of the tests has. */
const commonModules = ['authz_core', 'alias', 'env', 'setenvif', 'headers'];

function modulesFor<S>(options: ServerOptions<S>): string[] {
  const names = new Set([`mpm_${options.mpm ?? 'event'}`, ...commonModules, ...(options.modules ?? [])]);
  for (const host of options.vhosts ?? []) {
    if (host.tls) names.add('ssl').add('socache_shmcb');
    if (host.http2) names.add('http2');
  }
  return [...names];
}

const loadModule = (name: string) => `LoadModule ${name}_module "${modulesFolder}/mod_${name}.so"`;

/** Sizes that keep a server small while a graceful restart still finds free slots. */
function sizeDirectives<S>(options: ServerOptions<S>): string[] {
  if (options.mpm === 'prefork') {
    const children = options.children ?? 2;
    return [
      `ServerLimit ${children}`,
      `StartServers ${children}`,
      `MinSpareServers 1`,
      `MaxSpareServers ${children + 1}`,
      `MaxRequestWorkers ${children}`,
    ];
  }
  const children = options.children ?? 1;
  const threads = options.threads ?? 8;
  const most = (children + (options.room ?? 0)) * threads;
  return [
    `ServerLimit ${children + 4}`,
    `StartServers ${children}`,
    `ThreadsPerChild ${threads}`,
    `ThreadLimit ${threads}`,
    `MinSpareThreads 1`,
    `MaxSpareThreads ${children * threads}`,
    `MaxRequestWorkers ${most}`,
  ];
}

/** What every server has, whatever it serves. */
export function serverDirectives<S>(root: string, logFile: string, modulePath: string, options: ServerOptions<S>): string[] {
  return [
    `ServerRoot "${root}"`,
    `DefaultRuntimeDir "${root}/run"`,
    `PidFile "${root}/run/httpd.pid"`,
    `Mutex "file:${root}/run" default`,
    `ErrorLog "${logFile}"`,
    ...modulesFor(options).map(loadModule),
    ...(options.nwsgi === false ? [] : [`LoadModule nwsgi_module "${modulePath}"`]),
    `LogLevel ${options.logLevel ?? (options.nwsgi === false ? 'info' : 'info nwsgi:debug')}`,
    ...sizeDirectives(options),
    'ServerName localhost',
    `DocumentRoot "${root}/htdocs"`,
    `CustomLog "${root}/logs/access.log" "%h %v \\"%r\\" %>s %B %{ms}T"`,
    '<Directory />',
    '  AllowOverride None',
    '  Require all denied',
    '</Directory>',
    ...['apps', 'htdocs'].map((name) => `<Directory "${root}/${name}">\n  Require all granted\n</Directory>`),
  ];
}

export function resolve<S>(directives: Directives<S> | undefined, server: S): string[] {
  const value = typeof directives === 'function' ? directives(server) : directives;
  if (value === undefined) return [];
  return typeof value === 'string' ? value.split('\n') : [...value];
}
