// Finds libnode (Node as a shared library) and the headers that belong to it, or brings both.
//
// Debian's libnode-dev is used where it can be installed. Another vendor's nodejs package may conflict with it; then
// the packages are unpacked into .deps/libnode, and only what libnode itself needs is installed. The headers in
// /usr/include/node may belong to that other Node, so the version of the headers is compared with the library's.
import { existsSync, mkdirSync, readFileSync, readdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasApt, installPackages, isInstallable, isKnown, missingPackages, updateLists } from './debian.mjs';
import { libnodePrefix } from './paths.mjs';
import { capture, run, UserError } from './steps.mjs';

/**
 * Makes libnode available.
 * @returns {Promise<{library: string, include: string, moduleVersion: number, version: string, origin: string}>}
 */
export async function provideLibnode(note = () => {}) {
  const given = process.env.NWSGI_LIBNODE_PREFIX;
  const found = given ? locate(given) : (locateSystem() ?? (await locatePrivate(note)) ?? (await install(note)));
  if (!found) throw new UserError(`There is no libnode.so with headers below ${given}.`);
  return check(found);
}

/** The soname's number, e.g. 108 for libnode.so.108. */
const sonameVersion = (library) => Number(/\.so\.(\d+)$/.exec(realpathSync(library))?.[1]);

function locate(prefix, origin = prefix) {
  const library = ['lib64', 'lib', ...subfolders(join(prefix, 'lib'))]
    .map((folder) => join(prefix, folder, 'libnode.so'))
    .find((file) => existsSync(file));
  const include = ['include/node', 'include/nodejs/src', 'include']
    .map((folder) => join(prefix, folder))
    .find((folder) => existsSync(join(folder, 'node_version.h')));
  return library && include ? { library: resolveLibrary(library), include, origin } : undefined;
}

/** The name with the version, so that nothing depends on the development link later. */
const resolveLibrary = (library) => join(dirname(library), realpathSync(library).split('/').pop());

const subfolders = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join('lib', entry.name))
    : [];

function locateSystem() {
  if (missingPackages(['libnode-dev']).length > 0) return undefined;
  const files = capture('dpkg', ['-L', 'libnode-dev']).stdout.split('\n');
  const library = files.find((file) => file.endsWith('/libnode.so'));
  const header = files.find((file) => file.endsWith('/include/node/node_version.h'));
  if (!library || !header || !existsSync(library)) return undefined;
  return { library: resolveLibrary(library), include: dirname(header), origin: 'libnode-dev' };
}

const unpacked = () => locate(join(libnodePrefix, 'usr'), '.deps/libnode');

async function locatePrivate(note) {
  const found = unpacked();
  if (found) await installPackages(readDependencies(), note);
  return found;
}

const dependencyFile = join(libnodePrefix, 'depends');
const readDependencies = () => readFileSync(dependencyFile, 'utf8').split('\n').filter(Boolean);

async function install(note) {
  if (!hasApt()) {
    throw new UserError(
      'libnode was not found. Install the package that holds Node as a shared library with its headers ' +
        '(libnode-dev on Debian and Ubuntu, nodejs-libs and nodejs-devel on Fedora), or set NWSGI_LIBNODE_PREFIX to ' +
        'the prefix of one that you built with `configure --shared`.',
    );
  }
  if (!isKnown('libnode-dev')) await updateLists();
  if (!isKnown('libnode-dev')) throw new UserError('apt knows no package libnode-dev. Check the sources in /etc/apt, then run: apt-get update');
  if (isInstallable('libnode-dev')) {
    await installPackages(['libnode-dev'], note);
    return locateSystem();
  }
  note('unpacking libnode-dev, which the installed nodejs package does not allow beside it');
  await unpack(note);
  return unpacked();
}

/** Downloads libnode and libnode-dev and unpacks them into the project. */
async function unpack(note) {
  const work = `${libnodePrefix}.new`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const download = async () => {
    const stanza = capture('apt-cache', ['show', '--no-all-versions', 'libnode-dev']).stdout;
    const version = /^Version: (.*)$/m.exec(stanza)?.[1];
    const library = /^Depends:.*?\b(libnode\d+)\b/m.exec(stanza)?.[1];
    if (!version || !library) throw new UserError('apt describes no libnode-dev that this script understands.');
    const args = ['download', '-o', 'APT::Sandbox::User=root', `${library}=${version}`, `libnode-dev=${version}`];
    return run('libnode-download', 'apt-get', args, { cwd: work, mayFail: true });
  };
  if ((await download()) !== 0) {
    await updateLists();
    if ((await download()) !== 0) throw new UserError('libnode could not be downloaded; see .cache/log/libnode-download.log');
  }
  const archives = readdirSync(work).filter((name) => name.endsWith('.deb'));
  const dependencies = new Set();
  for (const archive of archives) {
    await run('libnode-unpack', 'dpkg', ['-x', archive, '.'], { cwd: work, append: true });
    const depends = capture('dpkg-deb', ['-f', archive, 'Depends'], { cwd: work }).stdout;
    for (const alternative of depends.split(',')) {
      const name = alternative.trim().split(/[ :|(]/)[0];
      // The development files of OpenSSL are for addons that use node.h's OpenSSL types; ours do not.
      if (name && !/^libnode\d*$/.test(name) && name !== 'libssl-dev') dependencies.add(name);
    }
    rmSync(join(work, archive));
  }
  writeFileSync(join(work, 'depends'), [...dependencies, ''].join('\n'));
  await installPackages([...dependencies], note);
  rmSync(libnodePrefix, { recursive: true, force: true });
  renameSync(work, libnodePrefix);
}

function check(found) {
  const header = readFileSync(join(found.include, 'node_version.h'), 'utf8');
  const number = (name) => Number(new RegExp(`#define ${name}\\s+(\\d+)`).exec(header)?.[1]);
  const moduleVersion = number('NODE_MODULE_VERSION');
  const version = ['MAJOR', 'MINOR', 'PATCH'].map((part) => number(`NODE_${part}_VERSION`)).join('.');
  if (sonameVersion(found.library) !== moduleVersion) {
    throw new UserError(
      `The headers in ${found.include} are those of Node ${version} (NODE_MODULE_VERSION ${moduleVersion}), but ` +
        `${found.library} has version ${sonameVersion(found.library)}. Both must come from the same Node: ` +
        'reinstall libnode-dev, or point NWSGI_LIBNODE_PREFIX to a prefix where they match.',
    );
  }
  const absent = externalBuiltins(found.library).filter((file) => !existsSync(file));
  if (absent.length > 0) {
    throw new UserError(
      `libnode reads parts of Node's own library from files that are not there, and would abort at its start:\n` +
        absent.map((file) => `    ${file}`).join('\n') +
        `\nInstall them: apt-get install --reinstall node-undici node-acorn node-cjs-module-lexer`,
    );
  }
  return { ...found, moduleVersion, version };
}

/** Absolute paths of built-in scripts that Debian took out of libnode. */
function externalBuiltins(library) {
  const text = readFileSync(library, 'latin1');
  return [...new Set(text.match(/\/usr\/share\/nodejs\/[\w./-]+\.js(?=\0)/g) ?? [])];
}
