// Validation in start_response of a Python application.
import { startResponseMatrix } from '../support/conformance/start-response-matrix.js';
import { python } from '../support/language.js';

startResponseMatrix(python);
