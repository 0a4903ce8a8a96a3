// startResponse of a JavaScript application.
import { startResponse } from './support/conformance/start-response.js';
import { javascript } from './support/language.js';

startResponse(javascript);
