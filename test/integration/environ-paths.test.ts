// Addresses in the environ of a JavaScript application.
import { environPaths } from './support/conformance/environ-paths.js';
import { javascript } from './support/language.js';

environPaths(javascript);
