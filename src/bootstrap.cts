/**
 * The first file of the gateway that an environment runs. CommonJS, because Node 18 can use `import()` in an embedded
 * environment only from a file that createRequire() has loaded. Whatever goes wrong in here is told to the host: nobody
 * reads the standard error of an embedded environment.
 */
import type { NativeBridge } from './native.js' with { 'resolution-mode': 'import' };

const BRIDGE = 'nwsgi_bridge';
/** Same as BRIDGE_ABI of native.ts, which cannot be imported before the bridge is known to be there. */
const ABI = 3;
const CRITICAL = 2;

function findBridge(): NativeBridge {
  const linked = (process as unknown as { _linkedBinding?(name: string): unknown })._linkedBinding;
  try {
    if (linked !== undefined) return linked.call(process, BRIDGE) as NativeBridge;
  } catch {
    // A Node process of its own (a daemon): the bridge is an addon there.
  }
  return (require('bindings') as (name: string) => unknown)(BRIDGE) as NativeBridge;
}

function report(bridge: NativeBridge, code: string, text: string): void {
  const line = `${code} ${text}`;
  bridge.log(0, CRITICAL, line);
  bridge.ready(line.split('\n', 1)[0] as string);
}

function start(): void {
  const bridge = findBridge();
  if (bridge.abi !== ABI) {
    report(bridge, 'NWSGI2001', `The gateway needs version ${ABI} of the native module, this is ${bridge.abi}. Install or build both from one version of nwsgi.`);
    return;
  }
  import('./gateway.js')
    .then((gateway) => gateway.start(bridge))
    .catch((error: unknown) => {
      report(bridge, 'NWSGI2002', `The gateway could not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    });
}

start();
