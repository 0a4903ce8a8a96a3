/**
 * The Python of one environment. The first Python script of the process starts CPython; each environment has a session of its
 * own with it. Nothing of Python is loaded before.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadOutcome, LoadWishes } from '../app-loader.js';
import { logText, NwsgiError, NwsgiTypeError, Problem, problemOf } from '../errors.js';
import { placeOf } from '../exchange.js';
import { LogLevel } from '../native.js';
import type { BridgeConfig, LogLevelNumber, NativeBridge, PythonConfig } from '../native.js';
import { USUAL_CALLABLE } from '../record.js';
import type { Target } from '../record.js';
import { whyUnreadable } from '../script-file.js';
import type { PythonAddon, PythonEvents, PythonFault, PythonHostOptions } from './addon.js';
import { PYTHON_ABI } from './addon.js';
import { PythonKind } from './application.js';
import { choosePython } from './choose.js';
import { PythonError } from './error.js';
import { answerFailed, problemNamed } from './failed-request.js';
import type { PumpTable } from './pumped-exchange.js';

/** dist/ */
const gatewayDirectory = dirname(dirname(fileURLToPath(import.meta.url)));

const DEFAULTS: PythonConfig = {
  home: '', path: [], eggs: '', optimize: 0, dontWriteBytecode: false, warnings: [], hashSeed: '', switchInterval: 0, restrictStdin: false,
  restrictStdout: false, restrictSignal: true, perInterpreterGil: false, destroyInterpreter: true, threads: 15, processes: 1, interruptTimeout: 2000,
};

/** Milliseconds for which C code may hold the interpreter's lock before it is mentioned. */
const LONGEST_STALL = 1000;
const LOOK = 250;

/** Makes the process what a script expects of it, before it is loaded. */
export type EnterPythonScript = (script: string, wishes: LoadWishes) => void;

export class Python {
  readonly #bridge: NativeBridge;
  readonly #config: BridgeConfig;
  readonly #enter: EnterPythonScript;
  readonly #loads = new Map<number, (result: { id: number; fault: PythonFault | null }) => void>();
  readonly #outcomes = new Map<string, Promise<LoadOutcome>>();
  readonly #watched = new Set<string>();
  readonly #pumped: PumpTable = new Map();
  #addon: PythonAddon | undefined;
  #version = '';
  #tickets = 0;
  /** Runs when nothing is in progress any more. */
  onIdle: () => void = () => undefined;

  constructor(bridge: NativeBridge, config: BridgeConfig, enter: EnterPythonScript) {
    this.#bridge = bridge;
    this.#config = config;
    this.#enter = enter;
  }

  /** Requests with Python's threads, or whose failure was not answered yet. */
  get inFlight(): number {
    return this.#addon?.inFlight() ?? 0;
  }

  /** Loads the script, unless that has begun already, and returns its application or the reason why there is none. */
  async load(target: Target, wishes: LoadWishes): Promise<LoadOutcome> {
    const { callable } = target;
    const script = Buffer.from(target.script, 'latin1').toString();
    const key = `${callable}\n${script}`;
    // What was only imported is what a request for the usual name gets.
    let outcome = this.#outcomes.get(key) ?? (callable === USUAL_CALLABLE ? this.#outcomes.get(`\n${script}`) : undefined);
    if (outcome === undefined) {
      outcome = this.#load({ ...target, script }, target.script, wishes);
      this.#outcomes.set(key, outcome);
    }
    const { failure } = await outcome;
    // A later request may try again.
    if (failure?.problem === Problem.scriptMissing) this.#outcomes.delete(key);
    else if (wishes.reloading) this.#watch({ ...target, script }, wishes);
    return outcome;
  }

  /** The process ends, where the environment had it for itself or the server has said so. */
  stop(reason: string, milliseconds: number): void {
    const ends = this.#config.processGroup !== '' || reason === 'shutdown';
    if (this.#addon === undefined || !ends) return;
    if (!this.#addon.stop(reason, milliseconds)) this.#bridge.log(0, LogLevel.warning, `${Problem.stoppedInFlight.code} Python had not ended after ${milliseconds} ms (stop because of ${reason}): a thread of the application goes on, and what it gave to atexit may not have run`);
  }

  async #load(target: Target, path: string, wishes: LoadWishes): Promise<LoadOutcome> {
    const { script, callable, type } = target;
    const unreadable = await whyUnreadable(script);
    if (unreadable !== undefined) return { failure: { problem: Problem.scriptMissing, error: unreadable, status: 404 } };
    // Before the file is read, so that a change during the load is seen; also of one that does not load.
    if (wishes.reloading) this.#watch(target, wishes);
    else this.#bridge.remember?.(script, callable, type, wishes.environment);
    try {
      if (type === 'node' || type === 'fetch') {
        throw new NwsgiTypeError(Problem.misfit, `${script} is a Python script, which is called by WSGI: WSGIApplicationType ${type} is for JavaScript`);
      }
      this.#enter(script, wishes);
      const addon = this.#started();
      const { applicationGroup, processGroup } = this.#config;
      const { id, fault } = await this.#run(addon, {
        // A process of its own is isolation enough.
        interpreter: processGroup === '' ? applicationGroup : '',
        applicationGroup,
        path,
        callable: callable === '' ? USUAL_CALLABLE : callable,
        environment: this.#withEggs(wishes.environment),
        callableNeeded: callable !== '',
      });
      if (fault === null) return { application: new PythonKind(addon, id, this.#pumped) };
      return this.#failure(script, problemNamed(fault.problem) ?? Problem.scriptFailed, new PythonError(fault));
    } catch (error) {
      return this.#failure(script, problemOf(error) ?? Problem.gatewayFault, error);
    }
  }

  /** python-eggs= is a variable of Python's packages; what the site sets by SetEnv comes later and wins. */
  #withEggs(environment: string): string {
    const eggs = this.#config.python?.eggs;
    return eggs ? `PYTHON_EGG_CACHE=${Buffer.from(eggs).toString('latin1')}\0${environment}` : environment;
  }

  #watch({ script, callable, type }: Target, { environment }: LoadWishes): void {
    if (this.#watched.has(script)) return;
    this.#watched.add(script);
    this.#bridge.watch(script, callable, type, environment);
  }

  #failure(script: string, problem: NonNullable<ReturnType<typeof problemOf>>, error: unknown): LoadOutcome {
    this.#bridge.loadFailed(script);
    return { failure: { problem, error, status: 500 } };
  }

  #run(addon: PythonAddon, script: Parameters<PythonAddon['load']>[1]): Promise<{ id: number; fault: PythonFault | null }> {
    return new Promise((resolve) => {
      const ticket = ++this.#tickets;
      this.#loads.set(ticket, resolve);
      addon.load(ticket, script);
    });
  }

  /** @throws NwsgiError when there is no Python to be had. */
  #started(): PythonAddon {
    if (this.#addon !== undefined) return this.#addon;
    const config: PythonConfig = { ...DEFAULTS, ...this.#config.python };
    const chosen = choosePython(config.addons ?? join(dirname(gatewayDirectory), 'build', 'Release'), config.home);
    const addon = loadAddon(chosen.addon);
    try {
      this.#version = addon.start(this.#bridge.seam, hostOptions(config, this.#config, chosen), this.#events(addon));
    } catch (error) {
      const { message } = error as Error;
      throw new NwsgiError(/NWSGI2602/.test(message) ? Problem.pythonVersion : Problem.pythonStart, message.replace(/^NWSGI2602:? */, ''));
    }
    this.#addon = addon;
    this.#bridge.pythonStarted?.(addon);
    this.#watchOver(addon);
    return addon;
  }

  /** Says so once when C code holds the interpreter's lock. */
  #watchOver(addon: PythonAddon): void {
    let told = false;
    const look = (): void => {
      const milliseconds = addon.stalled();
      const stands = milliseconds > LONGEST_STALL;
      if (stands === told) return;
      told = stands;
      if (stands) this.#bridge.log(0, LogLevel.warning, logText(Problem.pythonStalled, `for ${(milliseconds / 1000).toFixed(1)} s`));
      this.#bridge.pythonStandsStill?.(stands);
    };
    setInterval(look, LOOK).unref();
  }

  #events(addon: PythonAddon): PythonEvents {
    return {
      loaded: (ticket, id, fault) => {
        this.#loads.get(ticket)?.({ id, fault });
        this.#loads.delete(ticket);
      },
      fault: (token, request) => {
        try {
          answerFailed(this.#bridge, addon, token, request, `Python ${this.#version}`);
        } catch (error) {
          this.#bridge.log(0, LogLevel.critical, logText(Problem.gatewayFault, placeOf({ ...request, type: 'auto' }), error));
          addon.fail(token, 500, Problem.gatewayFault.code, Problem.gatewayFault.title);
        }
        this.onIdle();
      },
      over: () => this.onIdle(),
      serve: (token) => this.#pumped.get(token)?.serve(),
      log: (level: LogLevelNumber, text) => this.#bridge.log(0, level, text),
      stuck: (where, stack) => {
        const line = `${Problem.pythonStuck.code} ${Problem.pythonStuck.title} (${where}). ${Problem.pythonStuck.remedy}`;
        this.#bridge.log(0, LogLevel.error, stack === '' ? line : `${line}\n${stack}`);
        this.#bridge.replace?.('request_timeout', 'a thread of Python does not come back');
      },
    };
  }
}

function loadAddon(path: string): PythonAddon {
  let addon: PythonAddon;
  try {
    addon = createRequire(path)(path) as PythonAddon;
  } catch (error) {
    throw new NwsgiError(Problem.pythonMissing, `${path} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (addon.abi !== PYTHON_ABI) throw new NwsgiError(Problem.pythonStart, `the gateway needs version ${PYTHON_ABI} of the add-on for Python, ${path} is ${addon.abi}: install or build both from one version of nwsgi`);
  return addon;
}

function hostOptions(config: PythonConfig, { processGroup, version, serverSoftware }: BridgeConfig, { executable, home }: ReturnType<typeof choosePython>): PythonHostOptions {
  const { path, warnings, hashSeed, optimize, dontWriteBytecode, switchInterval, restrictStdin, restrictStdout, restrictSignal, perInterpreterGil, destroyInterpreter, threads, processes, interruptTimeout } = config;
  return {
    library: join(gatewayDirectory, 'python'),
    executable, home, path, warnings, hashSeed, optimize, dontWriteBytecode, switchInterval, restrictStdin, restrictStdout, restrictSignal,
    ownGil: perInterpreterGil, destroyInterpreter, processGroup, version, serverSoftware, threads, processes, interruptTime: interruptTimeout,
  };
}
