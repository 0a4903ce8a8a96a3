// Node binaries of several major versions, for `node=` of process groups: the npm package `node`, one folder for each in
// .cache/nodes.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cache } from './paths.mjs';
import { canRead } from './server-root.mjs';
import { capture, run, step, UserError } from './steps.mjs';

/** Major version → version of the package. */
const versions = { 18: '18.20.8', 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' };

const folder = join(cache, 'nodes');
const binary = (base, major) => join(base, String(major), 'node_modules', 'node', 'bin', 'node');

/**
 * Makes the binaries available.
 * @returns {Promise<Record<string, string>>} the environment that tells the tests about them
 */
export async function provideNodes() {
  for (const [major, version] of Object.entries(versions)) await step(`node ${major}`, () => provideNode(major, version));
  return { NWSGI_TEST_NODES: folder };
}

/** A copy for a group's user when it cannot read this checkout. */
export function readableNodes(environment, target) {
  const base = environment.NWSGI_TEST_NODES;
  if (base === undefined || canRead(binary(base, Object.keys(versions)[0]))) return environment;
  const copy = join(target, 'nodes');
  if (capture('cp', ['-al', base, copy]).status !== 0) {
    rmSync(copy, { recursive: true, force: true });
    capture('cp', ['-a', base, copy]);
  }
  capture('chmod', ['-R', 'a+rX', copy]);
  return { ...environment, NWSGI_TEST_NODES: copy };
}

async function provideNode(major, version) {
  const node = binary(folder, major);
  const said = () => (existsSync(node) ? capture(node, ['--version']).stdout.trim() : '');
  if (said() === `v${version}`) return null;
  const target = join(folder, major);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'package.json'), '{ "private": true }\n');
  await run(`node-${major}`, 'npm', ['install', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error', `node@${version}`], { cwd: target });
  if (said() !== `v${version}`) throw new UserError(`${node} does not run, or is not Node ${version}: see .cache/log/node-${major}.log`);
  return said();
}
