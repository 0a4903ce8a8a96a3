// Modules of httpd that Debian has in packages of their own, for tests of how nwsgi gets on with them. They are unpacked into
// .deps/apache-modules: an installed one would be switched on in the machine's own server.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hasApt, isKnown, missingPackages, updateLists } from './debian.mjs';
import { unpackPackages } from './debian-archives.mjs';
import { root } from './paths.mjs';
import { capture } from './steps.mjs';

const folder = join(root, '.deps', 'apache-modules');
const wanted = 'libapache2-mod-security2';

/** Libraries that the package needs and that are not installed. */
function libraries() {
  const { stdout } = capture('apt-cache', ['depends', '--no-recommends', '--no-suggests', wanted]);
  const names = [...stdout.matchAll(/^\s*\|?Depends: (lib[\w.+-]+)$/gm)].map((match) => match[1]);
  return missingPackages([...new Set(names)]).filter(isKnown);
}

/**
 * Brings what apt knows. Tests that need what is not there are left out.
 * @returns {Promise<string | null>} what was done
 */
export async function provideApacheModules(note = () => {}) {
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return null;
  if (!hasApt()) return 'mod_security2 is left out: there is no apt';
  if (!isKnown(wanted)) await updateLists();
  if (!isKnown(wanted)) return 'mod_security2 is left out: apt does not know it';
  const names = [wanted, ...libraries()];
  note(names.join(' '));
  const unpacked = await unpackPackages({ folder, names, log: 'modules' });
  if (!unpacked) return 'mod_security2 could not be downloaded; see .cache/log/modules-download.log';
  return `unpacked ${names.join(' ')}`;
}

/** The module's file and the libraries to load before it; undefined when it is not there. */
export function securityModule() {
  const file = [folder, '/'].map((base) => join(base, 'usr/lib/apache2/modules/mod_security2.so')).find((path) => existsSync(path));
  if (file === undefined) return undefined;
  const base = join(folder, 'usr/lib');
  const places = file.startsWith(folder) ? readdirSync(base).filter((name) => name.endsWith('-linux-gnu')) : [];
  const found = places.flatMap((place) => readdirSync(join(base, place)).map((name) => join(base, place, name)));
  return { file, libraries: found.filter((path) => /\.so\.\d+$/.test(path)) };
}
