// start_response of a Python application.
import { startResponse } from '../support/conformance/start-response.js';
import { python } from '../support/language.js';

startResponse(python);
