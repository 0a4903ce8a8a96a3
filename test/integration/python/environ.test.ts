// Variables in the environ of a Python application.
import { environVariables } from '../support/conformance/environ.js';
import { python } from '../support/language.js';

environVariables(python);
