/** Wires the parts of the gateway together; called once for each environment by bootstrap.cts. */
import { AppLoader } from './app-loader.js';
import { Dispatcher } from './dispatcher.js';
import { prepareGlobals } from './fetch/globals.js';
import type { BridgeConfig, NativeBridge } from './native.js';
import { pythonEntry, scriptEntry } from './platform/enter-script.js';
import { reportUncaught, setUpProcess } from './platform/process-setup.js';
import { NodeScripts } from './node/scripts.js';
import { DeferredPython } from './python/deferred.js';
import { stop } from './stop.js';

export async function start(bridge: NativeBridge): Promise<void> {
  const config = JSON.parse(bridge.config) as BridgeConfig;
  const output = setUpProcess(bridge, config);
  prepareGlobals();
  const nodeScripts = new NodeScripts(bridge);
  const enter = scriptEntry(bridge, config);
  const python = new DeferredPython(bridge, config, pythonEntry(config, enter));
  const loader = new AppLoader(bridge, config.version, nodeScripts, enter, python);
  const dispatcher = new Dispatcher(bridge, loader);
  python.onIdle = dispatcher.include(python);
  reportUncaught(bridge, dispatcher);
  bridge.onStop((reason, milliseconds) => {
    void stop({ bridge, dispatcher, servers: nodeScripts.listeners, output, python }, reason, milliseconds).finally(() => bridge.stopped());
  });
  dispatcher.attach();
  bridge.ready(await loader.preload(config.preload));
}
