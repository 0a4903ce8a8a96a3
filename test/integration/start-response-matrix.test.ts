// Validation in startResponse of a JavaScript application.
import { startResponseMatrix } from './support/conformance/start-response-matrix.js';
import { javascript } from './support/language.js';

startResponseMatrix(javascript);
