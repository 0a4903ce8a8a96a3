// The Pythons whose applications nwsgi hosts. Without any, everything else works.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hasApt, installPackages, rootPrefix } from './debian.mjs';
import { stamps } from './paths.mjs';
import { setStamp } from './stamps.mjs';
import { UserError } from './steps.mjs';

const developmentPackage = 'libpython3-dev';
const headers = '/usr/include';
const attempt = 'libpython3-dev-attempt';

/** Versions whose headers are installed below /usr, as CMakeLists.txt looks for them: oldest first. */
export function installedPythons() {
  const minor = (version) => Number(version.slice(2));
  return (existsSync(headers) ? readdirSync(headers) : [])
    .map((name) => /^python(3\.\d+)$/.exec(name)?.[1])
    .filter((version) => version !== undefined && minor(version) >= 11 && existsSync(join(headers, `python${version}`, 'Python.h')))
    .sort((a, b) => minor(a) - minor(b));
}

/** What the build depends on: which Pythons there are, each with its exact version. */
export function pythonsToBuild() {
  const chosen = process.env.NWSGI_PYTHONS ?? 'auto';
  const files = chosen
    .split(';')
    .map((entry) => /^(3\.\d+)=(.+)$/.exec(entry))
    .filter((match) => match !== null)
    .map(([, version, prefix]) => join(prefix, 'include', `python${version}`, 'patchlevel.h'));
  for (const version of installedPythons()) files.push(join(headers, `python${version}`, 'patchlevel.h'));
  return { chosen, files };
}

const remedy = `sudo apt-get install --no-install-recommends ${developmentPackage}`;

/**
 * Installs the headers of Debian's Python when there are none and that is allowed; tried once a day, because nobody should
 * wait each time for a package that cannot be had. Returns a few words for the terminal; null when Python is not wanted.
 */
export async function providePython(note = () => {}) {
  if (process.env.NWSGI_PYTHONS === '') return null;
  if (process.env.NWSGI_PYTHONS === undefined && installedPythons().length === 0) {
    const failure = await installHeaders(note);
    if (failure !== null) return `none, so applications of Python are left out; ${failure}`;
  }
  const { chosen } = pythonsToBuild();
  const versions = chosen === 'auto' ? installedPythons() : chosen.split(';');
  return versions.length > 0 ? versions.join(', ') : `none, so applications of Python are left out (Debian's is older than 3.11)`;
}

/** Null when the headers are there afterwards, else why not and what to do. */
async function installHeaders(note) {
  const today = new Date().toISOString().slice(0, 10);
  const file = join(stamps, attempt);
  const retry = `for them: ${remedy}, then run this command again`;
  if (rootPrefix() === null || !hasApt()) return retry;
  if (existsSync(file) && readFileSync(file, 'utf8') === today) return retry;
  try {
    await installPackages([developmentPackage], note);
    return null;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    setStamp(attempt, today);
    return `${developmentPackage} could not be installed (.cache/log/apt-install.log says why); ${retry}`;
  }
}
