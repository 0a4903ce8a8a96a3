/** Which Python: that of python-home, else the system's, among those that this nwsgi was built for. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { NwsgiError, Problem } from '../errors.js';

export interface ChosenPython {
  /** "3.11" */
  readonly version: string;
  /** Path of its add-on. */
  readonly addon: string;
  /** sys.executable; '' where there is none. */
  readonly executable: string;
  /** sys.prefix of an installation that is no virtual environment; '' otherwise. */
  readonly home: string;
}

const ADDON = /^nwsgi_python_(3\.\d+)\.node$/;
const SYSTEM = '/usr/bin/python3';

/**
 * `folder` has the add-ons; `home` is python-home or ''.
 *
 * @throws NwsgiError NWSGI2601 when there is none for that Python.
 */
export function choosePython(folder: string, home: string): ChosenPython {
  const built = builtVersions(folder);
  if (home === '') {
    const usual = linkedVersion(SYSTEM);
    const version = usual !== undefined && built.includes(usual) ? usual : built.at(-1);
    if (version === undefined) throw missing(usual, built, folder, 'the system');
    const executable = `/usr/bin/python${version}`;
    return { version, addon: addonOf(folder, version), executable: existsSync(executable) ? executable : '', home: '' };
  }
  const version = versionOfHome(home);
  if (version === undefined) throw new NwsgiError(Problem.pythonMissing, `python-home ${home} is no installation of Python and no virtual environment: it has no bin/python3`);
  if (!built.includes(version)) throw missing(version, built, folder, `python-home ${home}`);
  const isVirtual = existsSync(join(home, 'pyvenv.cfg'));
  return { version, addon: addonOf(folder, version), executable: programOf(home) ?? '', home: isVirtual ? '' : home };
}

function missing(version: string | undefined, built: readonly string[], folder: string, where: string): NwsgiError {
  const named = version === undefined ? 'any Python' : `Python ${version} (of ${where})`;
  const others = built.length === 0 ? `there is none in ${folder}` : `there is one for ${built.join(', ')}`;
  const packages = `python${version ?? '3'}-dev`;
  return new NwsgiError(Problem.pythonMissing, `nwsgi was not built for ${named}: ${others}. On Debian: apt-get install ${packages}, then npm run build`);
}

function addonOf(folder: string, version: string): string {
  return join(folder, `nwsgi_python_${version}.node`);
}

/** In ascending order. */
function builtVersions(folder: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // There are none, then.
  }
  const minor = (version: string): number => Number(version.slice(2));
  return names.map((name) => ADDON.exec(name)?.[1]).filter((version) => version !== undefined).sort((a, b) => minor(a) - minor(b));
}

/** The version in the name of what `link` is a link to. */
function linkedVersion(link: string): string | undefined {
  try {
    return /^python(3\.\d+)$/.exec(basename(realpathSync(link)))?.[1];
  } catch {
    return undefined;
  }
}

function programOf(home: string): string | undefined {
  return ['python3', 'python'].map((name) => join(home, 'bin', name)).find((path) => existsSync(path));
}

function versionOfHome(home: string): string | undefined {
  try {
    const settings = readFileSync(join(home, 'pyvenv.cfg'), 'utf8');
    const version = /^\s*version(?:_info)?\s*=\s*(3\.\d+)/m.exec(settings)?.[1];
    if (version !== undefined) return version;
  } catch {
    // No virtual environment, then.
  }
  const program = programOf(home);
  if (program === undefined) return undefined;
  return linkedVersion(program) ?? libraryVersion(home);
}

/** lib/python3.11 */
function libraryVersion(home: string): string | undefined {
  try {
    return readdirSync(join(home, 'lib')).map((name) => /^python(3\.\d+)$/.exec(name)?.[1]).find((version) => version !== undefined);
  } catch {
    return undefined;
  }
}
