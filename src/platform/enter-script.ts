/** Makes the process what a program expects of it that was started with `node script` in its own folder. */
import type { EnterScript } from '../app-loader.js';
import type { BridgeConfig, NativeBridge } from '../native.js';
import { addToEnvironment } from './environment.js';
import { applicationFolder, WorkingDirectory } from './working-directory.js';

/** What it returns runs before each script is loaded. Of several scripts in one environment, the first chooses the directory. */
export function scriptEntry(bridge: NativeBridge, config: BridgeConfig): EnterScript {
  const enterFolder = folderEntry(bridge, config);
  let entered = false;
  return (script, { environment }) => {
    addToEnvironment(environment);
    process.argv.splice(1, process.argv.length, script);
    if (entered) return;
    entered = true;
    enterFolder(applicationFolder(script));
  };
}

/** The same for a script of Python: its environment is os.environ, and its threads are not those of an environment of Node. */
export function pythonEntry(config: BridgeConfig, enter: EnterScript): EnterScript {
  return config.processGroup === '' ? () => undefined : enter;
}

function folderEntry(bridge: NativeBridge, config: BridgeConfig): (folder: string) => void {
  if (config.processGroup === '') {
    const directory = new WorkingDirectory(bridge, config);
    return (folder) => directory.enter(folder);
  }
  // A process of its own has its own directory; the site's choice is in effect already.
  return config.home === undefined || config.home === '' ? (folder) => process.chdir(folder) : () => undefined;
}
