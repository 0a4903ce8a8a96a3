/** Flask in the other MPMs. In prefork a child, and with it the embedded application, has one request at a time. */
import { describe } from 'vitest';
import { describePython, everyPlace } from '../harness/python.js';
import { flask, flaskSuite } from '../suites/flask.js';

describe.each(['prefork', 'worker'] as const)('in the MPM %s', (mpm) => describePython({ ...flask, mpm }, everyPlace, flaskSuite));
