// Reads what node:test prints (TAP): the leaves are the tests.

/** @returns {{title: string, state: 'passed'|'failed'|'skipped'}[]} */
export function testsOf(output) {
  const points = [];
  for (const line of output.split('\n')) {
    const match = /^( *)(not )?ok \d+ - (.*)$/.exec(line);
    if (match === null) continue;
    const [, indent, failed, rest] = match;
    const skipped = / # (SKIP|TODO)\b/i.test(rest);
    points.push({ depth: indent.length / 4, title: rest.replace(/ # (SKIP|TODO).*$/i, ''), state: skipped ? 'skipped' : failed ? 'failed' : 'passed' });
  }
  // The results of a test's parts come before its own.
  return points.flatMap(({ depth, title, state }, index) => (index > 0 && points[index - 1].depth > depth ? [] : [{ title, state }]));
}
