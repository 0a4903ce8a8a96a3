// The framing of a Python application's responses.
import { framing } from '../support/conformance/framing.js';
import { python } from '../support/language.js';

framing(python);
