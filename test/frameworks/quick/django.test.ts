import { describePython, thisMode } from '../harness/python.js';
import { django, djangoSuite } from '../suites/django.js';

describePython(django, thisMode, djangoSuite);
