// Extensions of a Python application's environ.
import { extensions } from '../support/conformance/extensions.js';
import { python } from '../support/language.js';

extensions(python);
