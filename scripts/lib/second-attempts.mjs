// A reporter of vitest that writes down which tests failed, and which passed only when they were tried again: the sum at the
// end of npm test names both.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { root } from './paths.mjs';

export default class SecondAttempts {
  #file = process.env.NWSGI_TEST_ATTEMPTS;
  #retried = [];
  #failed = [];

  onTestCaseResult(test) {
    const { flaky } = test.diagnostic() ?? {};
    const name = `${relative(root, test.module.moduleId)} > ${test.fullName}`;
    const { state, errors } = test.result();
    const reason = (errors?.[0]?.message ?? '').split('\n', 1)[0].slice(0, 200);
    if (state === 'failed') this.#failed.push({ name, reason });
    else if (flaky) this.#retried.push({ name, reason });
  }

  onTestRunEnd() {
    if (this.#file === undefined) return;
    mkdirSync(dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, JSON.stringify({ failed: this.#failed, retried: this.#retried }));
  }
}
