/** Applications of frameworks without Apache: the same tests, answered by `nwsgi serve`. */
import { afterAll, beforeAll, describe } from 'vitest';
import { daemon, NwsgiServe } from '../../integration/harness/index.js';
import { apps, type App } from '../harness/apps.js';
import { Target } from '../harness/targets.js';
import { expressSuite } from '../suites/express.js';
import { honoSuite } from '../suites/hono.js';

function describeServed(app: App, body: (target: Target) => void): void {
  const server = new NwsgiServe({ path: app.script });
  // Applications run in the same workers in both modes.
  describe.skipIf(daemon)(`${app.name} by nwsgi serve`, () => {
    beforeAll(() => server.start());
    afterAll(() => server.stop());
    body(new Target(true, '', () => server.port));
  });
}

describeServed(apps.express5, expressSuite);
describeServed(apps.hono, (target) => honoSuite(target, false));
