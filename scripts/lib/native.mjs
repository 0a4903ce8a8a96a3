// The native build: CMake through cmake-js, into build/Release.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { nativeBuild, nativeOutput, root } from './paths.mjs';
import { pythonsToBuild } from './python.mjs';
import { run, UserError } from './steps.mjs';
import { clearStamp, digest, filesBelow, isFresh, setStamp } from './stamps.mjs';

const require = createRequire(import.meta.url);

/**
 * Builds what changed.
 * @param {{library: string, include: string}} libnode
 * @param {{folder?: string, target?: string, sanitize?: string, force?: boolean}} options
 */
export async function buildNative(libnode, { folder = nativeBuild, target, sanitize = '', force = false } = {}) {
  const stamp = `native-${basename(folder)}`;
  const sources = [
    join(root, 'CMakeLists.txt'),
    join(root, 'package.json'),
    join(root, 'package-lock.json'),
    ...filesBelow(join(root, 'native'), /\.(cc|h)$/),
  ];
  const pythons = pythonsToBuild();
  const definitions = {
    NWSGI_LIBNODE_LIBRARY: libnode.library,
    NWSGI_LIBNODE_INCLUDE_DIR: libnode.include,
    NWSGI_SANITIZE: sanitize,
    // An empty value would not reach CMake; a list without entries does.
    NWSGI_PYTHONS: pythons.chosen || ';',
  };
  // The unit tests are built when their framework is there; npm test installs it.
  const tests = existsSync('/usr/include/doctest/doctest.h');
  const key = digest([...sources, ...pythons.files], definitions, tests);
  const output = folder === nativeBuild ? nativeOutput : join(folder, 'Release');
  if (!force && !target && isFresh(stamp, key, [output])) return null;
  clearStamp(stamp);
  const configured = `${stamp}-configured`;
  const configuration = digest([join(root, 'CMakeLists.txt'), join(root, 'package-lock.json'), ...pythons.files], definitions, tests, process.version);
  if (!isFresh(configured, configuration, [join(folder, 'CMakeCache.txt')])) {
    await configure(folder, definitions);
    setStamp(configured, configuration);
  }
  await build(folder, target);
  if (!target) setStamp(stamp, key);
  return target ?? output.slice(root.length + 1);
}

/** cmake-js 8 needs this Node; with an older one CMake is called the same way, without it. */
const hasCmakeJs = () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 17);
};

const cmakeJs = () => require.resolve('cmake-js/bin/cmake-js');

async function configure(folder, definitions) {
  const values = Object.entries(definitions);
  if (hasCmakeJs()) {
    const args = values.map(([name, value]) => `--CD${name}=${value}`);
    await run('native-configure', process.execPath, [cmakeJs(), 'configure', '-O', folder, '-r', 'node', ...args]);
    return;
  }
  const include = [require('node-api-headers').include_dir, dirname(require.resolve('node-addon-api/package.json'))];
  await run('native-configure', 'cmake', [
    '-S',
    root,
    '-B',
    folder,
    '-DCMAKE_BUILD_TYPE=Release',
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(folder, 'Release')}`,
    `-DCMAKE_JS_INC=${include.join(';')}`,
    ...values.map(([name, value]) => `-D${name}=${value}`),
  ]);
}

async function build(folder, target) {
  if (!existsSync(join(folder, 'CMakeCache.txt'))) throw new UserError(`${folder} is not configured`);
  const parallel = String(availableParallelism());
  if (hasCmakeJs()) {
    const args = ['build', '-O', folder, '-r', 'node', '--parallel', parallel];
    await run('native-build', process.execPath, [cmakeJs(), ...args, ...(target ? ['--target', target] : [])]);
    return;
  }
  const args = ['--build', folder, '--config', 'Release', '--parallel', parallel];
  await run('native-build', 'cmake', [...args, ...(target ? ['--target', target] : [])]);
}
