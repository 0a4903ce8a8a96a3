// npm run bench [-- [hello|frameworks] OPTIONS]: sets up, then runs bench/<name>.mjs with these options.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideFrameworks, readableFrameworks } from './lib/frameworks.mjs';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/setup.mjs';
import { main, UserError } from './lib/steps.mjs';

await main(async () => {
  const [first = 'hello', ...rest] = process.argv.slice(2);
  const [name, options] = first.startsWith('-') ? ['hello', process.argv.slice(2)] : [first, rest];
  if (name !== 'hello' && name !== 'frameworks') throw new UserError(`There is no benchmark "${name}"; there are hello and frameworks.`);
  const { libnode } = await setUp({ packages: ['wrk'] });
  const folder = mkdtempSync(join(tmpdir(), 'nwsgi-packages-'));
  try {
    const environment = name === 'frameworks' ? readableFrameworks(await provideFrameworks({ libnode, quick: true }), folder) : {};
    const child = spawn(process.execPath, [join(root, 'bench', `${name}.mjs`), ...options], { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } });
    return await new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
