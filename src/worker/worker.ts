/** A worker process: wires the addon, the gateway and the supervisor together. */
import { createRequire } from 'node:module';
import { setLogLevel, writeLog } from '../daemon-log.js';
import { start as startGateway } from '../gateway.js';
import { BRIDGE_ABI, LogLevel } from '../native.js';
import type { LogLevelNumber, NativeBridge } from '../native.js';
import { encodeRecord } from '../record.js';
import { EXIT_UNUSABLE, SCOREBOARD_FD } from '../supervisor/messages.js';
import type { ToWorker, WorkerConfig } from '../supervisor/messages.js';
import type { PythonAddon } from '../python/addon.js';
import type { DaemonAddon } from './addon.js';
import { startBeat } from './beat.js';
import { workerBridge } from './bridge.js';
import { Control } from './control.js';
import type { EarlyMessages, RawHandle } from './control.js';
import { Departure } from './departure.js';
import type { HttpServer } from './http/server.js';
import { plainPairs } from './plain.js';
import { takeSignals } from './signals.js';

/** The interpreter of Python may be held by C code for so long before the worker is said to stand still. */
const LONGEST_STALL = 1000;

/** Runs the worker until it departs. */
export function run(early: EarlyMessages): void {
  const control = new Control(early);
  let worker: Worker | undefined;
  control.listen(
    (message, handle) => {
      if (message.type === 'start') worker = new Worker(control, message.config);
      else worker?.receive(message, handle);
    },
    () => {
      if (worker === undefined) process.exit(0);
      worker.orphaned();
    },
  );
}

class Worker {
  readonly #config: WorkerConfig;
  readonly #addon: DaemonAddon;
  readonly #departure: Departure;
  #http: HttpServer | undefined;
  #python: Pick<PythonAddon, 'stalled'> | undefined;

  constructor(control: Control, config: WorkerConfig) {
    this.#config = config;
    setLogLevel(config.logLevel);
    if (config.displayName !== '') process.title = config.displayName;
    this.#departure = new Departure((message) => control.send(message), config);
    this.#addon = loadAddon(config.bridge, this.#departure);
    takeSignals(() => this.#departure.drain(config.gracefulTimeout, 'SIGTERM'));
    this.#serve(control).catch((error: unknown) => {
      this.#departure.giveUp('NWSGI2002', `The gateway could not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, EXIT_UNUSABLE);
    });
  }

  receive(message: ToWorker, handle: RawHandle | undefined): void {
    if (message.type === 'connection' && handle !== undefined) {
      if (!this.#departure.begun) this.#addon.adopt(handle.fd);
      // Also one that came too late: whoever is at the other end finds it closed, unread, and goes elsewhere.
      handle.close();
    } else if (message.type === 'drain') {
      this.#departure.drain(message.milliseconds, message.reason);
    }
  }

  /** The supervisor is gone: another one starts workers of its own. */
  orphaned(): void {
    if (!this.#departure.begun) writeLog(LogLevel.warning, `NWSGI4251 process group '${this.#config.processGroup}': the supervisor is gone; worker ${process.pid} finishes its requests and ends`);
    this.#departure.drain(this.#config.gracefulTimeout, 'the end of the supervisor');
  }

  async #serve(control: Control): Promise<void> {
    const config = this.#config;
    const addon = this.#addon;
    const { slot, generation, script, threads, requestTimeout, logLevel } = config;
    addon.startServer({
      scoreboardFd: SCOREBOARD_FD,
      slot,
      generation,
      mostRequests: threads,
      requestTimeout,
      logLevel: logLevel as LogLevelNumber,
      ...(script === null ? {} : { plain: { pairs: encodeRecord(plainPairs(config, script)), mount: script.mount } }),
    });
    control.unref();
    this.#departure.add(addon);
    startBeat(addon.mapScoreboard(SCOREBOARD_FD), slot, () => (this.#python?.stalled() ?? 0) > LONGEST_STALL);
    const own = workerBridge(addon, ownVersion(), config, {
      send: (message) => control.send(message),
      ready: (failure) => {
        if (failure === '' && !this.#departure.begun) this.#accept();
        control.send({ type: 'ready', failure });
      },
      pythonStarted: (python) => {
        this.#python = python;
      },
      onStop: (callback) => this.#departure.onStop(callback),
      stopped: () => this.#departure.stopped(),
    });
    const bridge = await this.#withHttp(own);
    control.send({ type: 'started', pid: process.pid });
    await startGateway(bridge);
  }

  async #withHttp(bridge: NativeBridge): Promise<NativeBridge> {
    const { listen, script, serverSoftware, socketTimeout, requestTimeout, threads } = this.#config;
    if (script === null || !listen.some(({ protocol }) => protocol === 'http')) return bridge;
    // Most workers never need it.
    const [{ HttpServer }, { withHttp }] = await Promise.all([import('./http/server.js'), import('./http/bridge.js')]);
    this.#http = new HttpServer([{ pairs: encodeRecord(plainPairs(this.#config, script)), mount: script.mount, serverSoftware }], { socketTimeout, requestTimeout, most: threads, count: (what) => this.#addon.count(what) });
    this.#departure.add(this.#http);
    return withHttp(bridge, this.#http);
  }

  /** Takes connections from sockets that listen, once there is an application to serve them. */
  #accept(): void {
    for (const { fd, protocol } of this.#config.listen) {
      if (protocol === 'fastcgi') this.#addon.listen(fd);
      else this.#http?.listen(fd);
    }
  }
}

function loadAddon(path: string, departure: Departure): DaemonAddon {
  let addon: DaemonAddon;
  try {
    addon = createRequire(path)(path) as DaemonAddon;
  } catch (error) {
    return departure.giveUp('NWSGI4250', `${path} cannot be loaded by Node ${process.version}: ${error instanceof Error ? error.message : String(error)}. Build or install nwsgi again`, EXIT_UNUSABLE);
  }
  if (addon.abi === BRIDGE_ABI) return addon;
  return departure.giveUp('NWSGI2001', `The gateway needs version ${BRIDGE_ABI} of the native module, ${path} is ${addon.abi}. Install or build both from one version of nwsgi.`, EXIT_UNUSABLE);
}

function ownVersion(): string {
  try {
    return (createRequire(import.meta.url)('../../package.json') as { version: string }).version;
  } catch {
    return '';
  }
}
