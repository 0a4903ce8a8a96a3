// Requests with Expect to a Python application.
import { expectations } from '../support/conformance/expect.js';
import { python } from '../support/language.js';

expectations(python);
