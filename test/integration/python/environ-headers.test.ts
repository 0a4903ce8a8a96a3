// Request headers in the environ of a Python application.
import { environHeaders } from '../support/conformance/environ-headers.js';
import { python } from '../support/language.js';

environHeaders(python);
