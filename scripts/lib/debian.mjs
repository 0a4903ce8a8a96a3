// Debian packages: which are missing, and installing them with apt when that is allowed.
import { capture, run, UserError } from './steps.mjs';

const environment = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
const quiet = ['-y', '--no-install-recommends', '--no-remove', '-o', 'Dpkg::Use-Pty=0'];

export const hasApt = () => capture('apt-get', ['--version']).status === 0;

/** Words to put before a command that needs root: [] for root, sudo where it asks for no password, else null. */
export function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return capture('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive'] : null;
}

export function missingPackages(names) {
  const { stdout } = capture('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...names]);
  const installed = new Set(
    stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return names.filter((name) => !installed.has(name));
}

/** True when apt knows a version of the package that it could install. */
export function isKnown(name) {
  return /Candidate: (?!\(none\))/.test(capture('apt-cache', ['policy', name], { env: { ...process.env, ...environment } }).stdout);
}

/** True when apt would install the package without removing another one. */
export function isInstallable(name) {
  return capture('apt-get', ['install', '-s', ...quiet, name], { env: { ...process.env, ...environment } }).status === 0;
}

let updated = false;
export async function updateLists() {
  const prefix = rootPrefix();
  if (updated || prefix === null) return;
  updated = true;
  const [command, ...args] = [...prefix, 'apt-get', 'update'];
  // A list that cannot be fetched matters only when a package is then missing.
  await run('apt-update', command, args, { env: environment, mayFail: true });
}

/** Installs what is missing of `names`, or says which command does. Returns the packages that were installed. */
export async function installPackages(names, note = () => {}) {
  const missing = missingPackages(names);
  if (missing.length === 0) return [];
  const prefix = rootPrefix();
  if (prefix === null || !hasApt()) {
    throw new UserError(
      `These Debian packages are missing: ${missing.join(' ')}\n` +
        `Install them and run this command again:\n\n    sudo apt-get install --no-install-recommends ${missing.join(' ')}\n`,
    );
  }
  note(missing.join(' '));
  if (missing.some((name) => !isKnown(name))) await updateLists();
  const [command, ...args] = [...prefix, 'apt-get', 'install', ...quiet, ...missing];
  const status = await run('apt-install', command, args, { env: environment, mayFail: true });
  if (status !== 0) {
    // Stale lists name files that the archive no longer has.
    await updateLists();
    await run('apt-install', command, args, { env: environment });
  }
  return missing;
}
