// npm run bench [-- [hello|frameworks|daemon|python] OPTIONS]: sets up, then runs bench/<name>.mjs with these options.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideFrameworks, readableFrameworks } from './lib/frameworks.mjs';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/setup.mjs';
import { main, UserError } from './lib/steps.mjs';

/** The benchmarks, and the Debian packages that each one needs beside wrk. */
const packages = { hello: [], frameworks: [], daemon: ['libapache2-mod-wsgi-py3'], python: ['libapache2-mod-wsgi-py3', 'python3-flask'] };

await main(async () => {
  const [first = 'hello', ...rest] = process.argv.slice(2);
  const [name, options] = first.startsWith('-') ? ['hello', process.argv.slice(2)] : [first, rest];
  if (!(name in packages)) throw new UserError(`There is no benchmark "${name}"; there are ${Object.keys(packages).join(', ')}.`);
  const { libnode } = await setUp({ packages: ['wrk', ...packages[name]] });
  const folder = mkdtempSync(join(tmpdir(), 'nwsgi-packages-'));
  try {
    const environment = name === 'frameworks' ? readableFrameworks(await provideFrameworks({ libnode, quick: true }), folder) : {};
    const child = spawn(process.execPath, [join(root, 'bench', `${name}.mjs`), ...options], { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } });
    return await new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
