// NGINX and Caddy for the tests of `nwsgi serve`: Debian's packages, unpacked into .deps/servers. They are not installed,
// because an installed server starts by itself and takes port 80.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hasApt, installPackages, isKnown, updateLists } from './debian.mjs';
import { unpackPackages } from './debian-archives.mjs';
import { root } from './paths.mjs';
import { capture } from './steps.mjs';

const folder = join(root, '.deps', 'servers');

/** nginx-common has the files that configurations include, fastcgi_params among them. */
const wanted = ['nginx', 'nginx-common', 'caddy'];

/** Libraries of Debian's nginx; everybody has most of them. */
const libraries = ['libcrypt1', 'libpcre2-8-0', 'zlib1g'];

/**
 * Brings what apt knows. What it does not know is not there afterwards; the tests that need it say so.
 * @returns {Promise<string | null>} what was done
 */
export async function provideFrontServers(note = () => {}) {
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return null;
  if (!hasApt()) return 'NGINX and Caddy are left out: there is no apt';
  if (wanted.some((name) => !isKnown(name))) await updateLists();
  const known = wanted.filter(isKnown);
  note(known.join(' '));
  const unpacked = await unpackPackages({ folder, names: known, log: 'servers', andThen: () => installPackages(libraries, note) });
  if (!unpacked) return 'NGINX and Caddy could not be downloaded; see .cache/log/servers-download.log';
  const runs = known.filter((name) => ['usr/sbin/nginx', 'usr/bin/caddy'].some((file) => file.endsWith(name) && capture(join(folder, file), [name === 'nginx' ? '-v' : 'version']).status === 0));
  return `unpacked ${runs.join(' and ')}`;
}

/** Where the tests find them: unpacked, or installed; undefined when they are not there. */
export function frontServers() {
  const find = (...files) => files.find((file) => existsSync(file));
  return {
    nginx: find(join(folder, 'usr/sbin/nginx'), '/usr/sbin/nginx'),
    nginxFiles: find(join(folder, 'etc/nginx'), '/etc/nginx'),
    caddy: find(join(folder, 'usr/bin/caddy'), '/usr/bin/caddy'),
  };
}
