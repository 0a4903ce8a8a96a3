// Middleware between the server and a Python application.
import { middleware } from '../support/conformance/middleware.js';
import { python } from '../support/language.js';

middleware(python);
