import { apps } from './harness/apps.js';
import { describeTargets } from './harness/targets.js';
import { honoSuite } from './suites/hono.js';

describeTargets(apps.honoServer, (target) => honoSuite(target, true));
