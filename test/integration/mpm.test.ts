// JavaScript applications in every MPM.
import { inEveryMpm } from './support/conformance/mpm.js';
import { javascript } from './support/language.js';

inEveryMpm(javascript);
