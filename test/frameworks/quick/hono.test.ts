import { apps } from '../harness/apps.js';
import { describeTargets } from '../harness/targets.js';
import { honoSuite } from '../suites/hono.js';

describeTargets(apps.hono, (target) => honoSuite(target, !target.embedded));
