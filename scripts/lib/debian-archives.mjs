// Packages of Debian that are unpacked into a folder instead of being installed.
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { updateLists } from './debian.mjs';
import { run } from './steps.mjs';

/**
 * Replaces `folder` by the contents of these packages; its file "complete" names them.
 * @param {{folder: string, names: string[], log: string, andThen?: () => Promise<unknown>}} what `log`: prefix of the logs' names; `andThen`:
 *   what has to succeed before the folder is there
 * @returns {Promise<boolean>} false: they could not be downloaded, see .cache/log/<log>-download.log
 */
export async function unpackPackages({ folder, names, log, andThen = async () => {} }) {
  const work = `${folder}.new`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const download = () => run(`${log}-download`, 'apt-get', ['download', '-o', 'APT::Sandbox::User=root', ...names], { cwd: work, mayFail: true });
  if ((await download()) !== 0) {
    await updateLists();
    if ((await download()) !== 0) return false;
  }
  for (const archive of readdirSync(work).filter((name) => name.endsWith('.deb'))) {
    await run(`${log}-unpack`, 'dpkg', ['-x', archive, '.'], { cwd: work, append: true });
    rmSync(join(work, archive));
  }
  await andThen();
  writeFileSync(join(work, 'complete'), `${names.join('\n')}\n`);
  rmSync(folder, { recursive: true, force: true });
  renameSync(work, folder);
  return true;
}
