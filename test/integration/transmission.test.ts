// The blocks of a JavaScript application's responses.
import { transmission } from './support/conformance/transmission.js';
import { javascript } from './support/language.js';

transmission(javascript);
