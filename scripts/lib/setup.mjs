// The set-up that start, test and build share: every step is skipped when nothing changed.
import { installPackages } from './debian.mjs';
import { provideLibnode } from './libnode.mjs';
import { withBuildLock } from './lock.mjs';
import { buildNative } from './native.mjs';
import { provideNodeModules } from './node-modules.mjs';
import { providePython } from './python.mjs';
import { bold, step } from './steps.mjs';
import { buildTypeScript } from './typescript.mjs';

const buildPackages = ['apache2-bin', 'apache2-dev', 'libapr1-dev', 'libaprutil1-dev', 'libuv1-dev', 'cmake', 'g++', 'make'];

/** What `npm test` uses beyond that. */
export const testPackages = ['doctest-dev', 'openssl'];

/**
 * @param {{packages?: string[], only?: string, target?: string}} options `only`: "native" or "typescript";
 *   `target`: a single CMake target
 */
export async function setUp({ packages = [], only, target } = {}) {
  return withBuildLock(async () => {
    console.log(bold('Set-up'));
    await step('Debian packages', async (note) => {
      const installed = await installPackages([...buildPackages, ...packages], note);
      return installed.length > 0 ? `installed ${installed.join(' ')}` : null;
    });
    let libnode;
    await step('libnode', async (note) => {
      libnode = await provideLibnode(note);
      return `Node ${libnode.version} from ${libnode.origin}`;
    });
    await step('Python', providePython);
    await step('npm packages', provideNodeModules);
    if (only !== 'typescript') await step('native build', () => buildNative(libnode, { target }));
    if (only !== 'native' && !target) await step('gateway', buildTypeScript);
    return { libnode };
  });
}
