/** Phases of a request, for npm run bench -- profile: with NWSGI_PROFILE in httpd's environment a LogFormat has them. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parsePhases, summarisePhases } from '../../bench/lib/phases.mjs';
import { daemon, describeEachMpm, useServer, waitFor } from './harness/index.js';

describeEachMpm('phases of a request', (mpm) => {
  const server = useServer({
    mpm,
    apps: ['hello.mjs'],
    env: { NWSGI_PROFILE: '1' },
    directives: (s) => [
      `WSGIScriptAlias /hello ${s.app('hello.mjs')}`,
      'LogFormat "%{nwsgi-phases}n total=%D" phases',
      `CustomLog "${s.root}/logs/phases.log" phases`,
    ],
  });

  it('are noted for applications, and add up to what the request took', async () => {
    for (let count = 0; count < 3; count += 1) expect((await server.get('/hello')).status).toBe(200);
    expect((await server.get('/nothing')).status).toBe(404);
    const log = () => readFileSync(`${server.root}/logs/phases.log`, 'utf8');
    await waitFor('four lines in the log', () => log().trimEnd().split('\n').length === 4);
    const found = parsePhases(log());
    expect(found.total).toHaveLength(3);
    for (const name of daemon ? ['worker'] : ['queue', 'application', 'wake']) expect(found[name]?.every((value: number) => value > 0)).toBe(true);
    const summary = summarisePhases(found);
    const known = summary.filter(({ name }) => name !== 'total').reduce((sum, { share }) => sum + share, 0);
    expect(known).toBeGreaterThan(0.95);
    expect(known).toBeLessThan(1.05);
  });
});
