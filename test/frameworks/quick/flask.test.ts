import { describePython, thisMode } from '../harness/python.js';
import { flask, flaskSuite } from '../suites/flask.js';

describePython(flask, thisMode, flaskSuite);
