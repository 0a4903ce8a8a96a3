// The framing of a JavaScript application's responses.
import { framing } from './support/conformance/framing.js';
import { javascript } from './support/language.js';

framing(javascript);
