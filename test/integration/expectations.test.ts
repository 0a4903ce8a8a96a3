// Requests with Expect to a JavaScript application.
import { expectations } from './support/conformance/expect.js';
import { javascript } from './support/language.js';

expectations(javascript);
