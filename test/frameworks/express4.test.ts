import { apps } from './harness/apps.js';
import { describeTargets } from './harness/targets.js';
import { expressSuite } from './suites/express.js';

describeTargets(apps.express4, expressSuite);
