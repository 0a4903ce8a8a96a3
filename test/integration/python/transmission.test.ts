// The blocks of a Python application's responses.
import { transmission } from '../support/conformance/transmission.js';
import { python } from '../support/language.js';

transmission(python);
