// npm run bench [-- OPTIONS]: sets up, then runs bench/hello.mjs with these options.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/setup.mjs';
import { main } from './lib/steps.mjs';

await main(async () => {
  await setUp({ packages: ['wrk'] });
  const args = [join(root, 'bench', 'hello.mjs'), ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
});
