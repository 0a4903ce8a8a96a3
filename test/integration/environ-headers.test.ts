// Request headers in the environ of a JavaScript application.
import { environHeaders } from './support/conformance/environ-headers.js';
import { javascript } from './support/language.js';

environHeaders(javascript);
