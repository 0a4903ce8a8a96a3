// Addresses in the environ of a Python application.
import { environPaths } from '../support/conformance/environ-paths.js';
import { python } from '../support/language.js';

environPaths(python);
