// Compiles the gateway from src/ to dist/, and puts the Python part of the host beside it.
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { run } from './steps.mjs';
import { clearStamp, digest, filesBelow, isFresh, setStamp } from './stamps.mjs';

/** Python code of the host: imported by Python, from dist/python. */
const pythonPart = join(root, 'native', 'python', 'lib', 'nwsgi_host');

export async function buildTypeScript() {
  const sources = [
    join(root, 'tsconfig.json'),
    join(root, 'package.json'),
    join(root, 'package-lock.json'),
    ...filesBelow(join(root, 'src'), /\.[cm]?ts$/),
    ...filesBelow(pythonPart, /\.py$/),
  ];
  const key = digest(sources);
  const dist = join(root, 'dist');
  if (isFresh('typescript', key, [dist])) return null;
  clearStamp('typescript');
  // A module that was renamed or removed must not stay behind; the new files replace the others in place.
  const names = new Set(sources.map((file) => file.slice(join(root, 'src').length).replace(/\.([cm]?)ts$/, '.$1js')));
  for (const file of filesBelow(dist, /\.[cm]?js$/)) {
    if (names.has(file.slice(dist.length))) continue;
    for (const rest of [file, `${file}.map`, file.replace(/js$/, 'd.ts').replace(/([cm]?)d\.ts$/, 'd.$1ts')]) {
      if (existsSync(rest)) rmSync(rest);
    }
  }
  await run('typescript', process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);
  copyPythonPart(join(dist, 'python', 'nwsgi_host'));
  setStamp('typescript', key);
  return 'dist';
}

function copyPythonPart(target) {
  rmSync(target, { recursive: true, force: true });
  if (existsSync(pythonPart)) cpSync(pythonPart, target, { recursive: true, filter: (file) => !file.includes('__pycache__') });
}
