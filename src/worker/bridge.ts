/** The bridge that the gateway gets in a worker process: requests by the addon, everything else by the supervisor. */
import { constants } from 'node:os';
import { writeLog } from '../daemon-log.js';
import type { BridgeConfig, NativeBridge } from '../native.js';
import type { FromWorker, WorkerConfig } from '../supervisor/messages.js';
import { stampOf } from '../supervisor/stamp.js';
import type { PythonAddon } from '../python/addon.js';
import type { DaemonAddon } from './addon.js';

type StopCallback = Parameters<NativeBridge['onStop']>[0];

/** The worker's side of the bridge. */
export interface WorkerEvents {
  send(message: FromWorker): void;
  /** Preloads are done. */
  ready(failure: string): void;
  pythonStarted(python: Pick<PythonAddon, 'stalled'>): void;
  onStop(callback: StopCallback): void;
  stopped(): void;
}

/** A copy: calls of the gateway go to the addon's own functions, which are what a turn of requests is made of. */
export function workerBridge(addon: DaemonAddon, version: string, config: WorkerConfig, events: WorkerEvents): NativeBridge {
  const tell = (reloading: boolean): NativeBridge['watch'] => (script, callable, applicationType, environment) => {
    events.send({ type: 'watch', script, callable, applicationType, environment, stamp: stampOf(script), reloading });
  };
  return {
    ...addon,
    config: JSON.stringify(gatewayConfig(config, version)),
    log(handle, level, text) {
      if (handle === 0 || !addon.log(handle, level, text)) writeLog(level, text);
    },
    ready: (failure) => events.ready(failure),
    loadFailed: (script) => events.send({ type: 'loadFailed', script }),
    watch: tell(true),
    remember: tell(false),
    // The process has a working directory of its own: nobody asks.
    changeDirectory: () => constants.errno.ENOTSUP,
    pythonStarted: (python) => events.pythonStarted(python),
    pythonStandsStill: (standsStill) => events.send({ type: 'python', standsStill }),
    replace: (reason, why) => events.send({ type: 'replace', reason, why }),
    onStop: (callback) => events.onStop(callback),
    stopped: () => events.stopped(),
  };
}

function gatewayConfig({ applicationGroup, processGroup, serverSoftware, preload, home, python }: WorkerConfig, version: string): BridgeConfig {
  return { applicationGroup, processGroup, serverSoftware, version, preload, home, execPath: '', ownDirectory: false, python };
}
