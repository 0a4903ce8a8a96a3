/** The gateway compiled from the present sources, for tests that need it in Node processes of its own. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Node binaries to test with; NWSGI_TEST_NODES may name further ones, separated by colons. */
export const nodes = [process.execPath, ...(process.env.NWSGI_TEST_NODES ?? '').split(':').filter((path) => path !== '')];

/** Compiles into a folder of the given name below build/ and returns its path. */
export function compileGateway(name: string): string {
  const folder = join(root, 'build', name);
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root, '--outDir', folder], { stdio: 'inherit' });
  return folder;
}
