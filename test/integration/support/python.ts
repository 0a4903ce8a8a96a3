/** The Python of the system, whose applications the tests run. */
import { realpathSync } from 'node:fs';
import { basename } from 'node:path';

/** "python3.11": the name of its program, and of its folders below lib/. */
export const python = basename(realpathSync('/usr/bin/python3'));
