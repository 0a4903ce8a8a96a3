/** What quick/django.test.ts does, in mod_wsgi too. */
import { describePython, everyPlace } from '../harness/python.js';
import { django, djangoSuite } from '../suites/django.js';

describePython(django, everyPlace, djangoSuite);
