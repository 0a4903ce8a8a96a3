/** The package as its users see it, in Node processes of their own. */
import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const gateway = join(root, 'build', 'gateway-of-package-test');
const fixture = (name: string): string => join(root, 'test/unit/fixtures', name);
const env = { ...process.env, NODE_OPTIONS: '' };

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root, '--outDir', gateway], { stdio: 'inherit' });
}, 60_000);

describe('nwsgi/testing', { timeout: 30_000 }, () => {
  it('lets a user test an application without a server', async () => {
    const { stdout } = await run(process.execPath, ['--test', fixture('greets.test.mjs')], { env });
    expect(stdout).toMatch(/^(?:#|ℹ) pass \d/m);
    expect(stdout).toMatch(/^(?:#|ℹ) fail 0/m);
  });
});

describe('memory', { timeout: 120_000 }, () => {
  it('stays flat over many requests of all kinds', async () => {
    const { stdout } = await run(process.execPath, ['--expose-gc', fixture('heap-after-requests.mjs'), gateway, '4000'], { env });
    const { heaps, inFlight } = JSON.parse(stdout) as { heaps: number[]; inFlight: number };
    expect(inFlight).toBe(0);
    // The first round compiles and fills tables. 100 bytes for each request would show as 1.2 MB.
    expect((heaps[4] as number) - (heaps[1] as number), `heaps ${heaps.join(', ')}`).toBeLessThan(600_000);
  });
});
