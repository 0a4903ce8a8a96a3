/** The process as an application sees it; in Node processes of their own, because it is changed for good. */
import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { addToEnvironment } from '../../src/platform/environment.js';
import { compileGateway, nodes, root } from './helpers/gateway.js';

const run = promisify(execFile);
let gateway = '';
beforeAll(() => {
  gateway = compileGateway('gateway-platform');
}, 60_000);

describe.each(nodes)('in %s', { timeout: 30_000 }, (node) => {
  it('relative paths go by the working directory of the application', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nwsgi-directory-')));
    try {
      const { stdout } = await run(node, [join(root, 'test/unit/fixtures/working-directory.mjs'), gateway, folder], { env: { ...process.env, NODE_OPTIONS: '' } });
      expect(stdout).toBe('done\n');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the environment of an application', () => {
  it('has what the configuration adds, and NODE_ENV', () => {
    const before = process.env;
    process.env = { KEPT: '1', CHANGED: 'x' };
    try {
      addToEnvironment(`CHANGED=a=b\0EMPTY=\0${Buffer.from('NAME=Grüße').toString('latin1')}\0=no name\0`);
      expect(process.env).toEqual({ KEPT: '1', CHANGED: 'a=b', EMPTY: '', NAME: 'Grüße', NODE_ENV: 'production' });
      addToEnvironment('NODE_ENV=test');
      expect(process.env.NODE_ENV).toBe('test');
      addToEnvironment('');
      expect(process.env.NODE_ENV).toBe('test');
    } finally {
      process.env = before;
    }
  });
});
