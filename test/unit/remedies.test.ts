/** What log lines and pages advise, for errors as Node makes them. */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { userInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { errorCatalogue, logText, Problem } from '../../src/errors.js';
import { remedyFor } from '../../src/remedies.js';

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('what to do', () => {
  it('names the user of the server and the path that this user may not use', () => {
    const refused = Object.assign(new Error("EACCES: permission denied, mkdir 'uploads/'"), { code: 'EACCES', syscall: 'mkdir', path: 'uploads/' });
    const advice = `The server runs applications as the user ${userInfo().username}: let that user have ${resolve('uploads')} (`;
    expect(remedyFor(Problem.scriptFailed, refused)).toContain(advice);
    expect(logText(Problem.scriptFailed, 'script /a.js', refused)).toContain(`(script /a.js). ${advice}`);
    expect(remedyFor(Problem.scriptMissing, new Error('x', { cause: refused })), 'a cause').toContain(advice);
  });

  it('says how a missing package is installed', () => {
    const require = createRequire(import.meta.url);
    const missing = errorOf(() => require('no-such-package-of-anybody'));
    expect(remedyFor(Problem.scriptFailed, missing)).toMatch(/^Install the packages[^\n]*`npm install no-such-package-of-anybody`/);
    expect(remedyFor(Problem.scriptFailed, errorOf(() => require('./no-such-file'))), 'a file').toBe(Problem.scriptFailed.remedy);
  });

  it('is what the catalogue says else', () => {
    const odd = Object.defineProperty({}, 'code', { get() { throw new Error('x'); } });
    for (const error of [undefined, null, 5, odd, new Error('x'), errorOf(() => mkdirSync('/'))]) {
      for (const problem of errorCatalogue) expect(remedyFor(problem, error)).toBe(problem.remedy);
    }
  });
});
