// npm packages: installed when node_modules is missing or older than the lock file.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { run } from './steps.mjs';
import { isNewer } from './stamps.mjs';

export async function provideNodeModules() {
  const lock = join(root, 'package-lock.json');
  // npm writes this file at the end of every installation.
  const installed = join(root, 'node_modules', '.package-lock.json');
  const complete = existsSync(installed) && existsSync(join(root, 'node_modules', 'cmake-js', 'package.json'));
  if (complete && !isNewer(lock, installed) && !isNewer(join(root, 'package.json'), installed)) return null;
  const command = existsSync(installed) ? 'install' : 'ci';
  await run('npm-install', 'npm', [command, '--no-audit', '--no-fund', '--loglevel=error']);
  return 'installed';
}
