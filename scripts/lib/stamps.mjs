// Steps are skipped when their inputs are as they were when the step last succeeded.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root, stamps } from './paths.mjs';

/** Files below `folder` whose names match, in a fixed order. */
export function filesBelow(folder, pattern) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesBelow(path, pattern);
      return pattern.test(entry.name) ? [path] : [];
    });
}

/** A digest of the contents of files and of other values that a step depends on. */
export function digest(files, ...values) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${relative(root, file)}\0`).update(existsSync(file) ? readFileSync(file) : 'absent');
  hash.update(JSON.stringify(values));
  return hash.digest('hex');
}

/** True when `name` was last stamped with this digest and all outputs are there. */
export function isFresh(name, value, outputs = []) {
  const file = join(stamps, name);
  return existsSync(file) && readFileSync(file, 'utf8') === value && outputs.every((output) => existsSync(output));
}

export function setStamp(name, value) {
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, name), value);
}

export function clearStamp(name) {
  rmSync(join(stamps, name), { force: true });
}

export function isNewer(file, than) {
  return statSync(file).mtimeMs > statSync(than).mtimeMs;
}
