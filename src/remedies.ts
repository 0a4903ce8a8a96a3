/** What to do about errors that are common where an application moves from a user's own shell into a server. */
import { resolve } from 'node:path';
import { userInfo } from 'node:os';
import type { CatalogueEntry } from './errors.js';
import { isPythonError } from './python/error.js';
import { pythonAdviceFor, pythonRemedyOf, pythonTitleOf } from './python/remedies.js';

/** What happened, in the words of the application's language. */
export function titleFor(problem: CatalogueEntry, error: unknown): string {
  return isPythonError(error) ? pythonTitleOf(problem) : problem.title;
}

/** What the error itself suggests, then what its problem does. Never throws. */
export function remedyFor(problem: CatalogueEntry, error: unknown): string {
  if (isPythonError(error)) {
    const advice = pythonAdviceFor(error.message, user());
    const remedy = pythonRemedyOf(problem) ?? problem.remedy;
    return advice === undefined ? remedy : `${advice} ${remedy}`;
  }
  let special: string | undefined;
  try {
    special = adviceFor(error) ?? adviceFor((error as { cause?: unknown } | undefined)?.cause);
  } catch {
    // An accessor of the application threw.
  }
  return special === undefined ? problem.remedy : `${special} ${problem.remedy}`;
}

function adviceFor(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { name, code, path, message, stack } = error as Readonly<Record<string, unknown>>;
  if (name === 'SyntaxError' && (/^Unexpected token '<'/.test(String(message)) || (/^Invalid or unexpected token/.test(String(message)) && /\.[cm]?ts:\d+/.test(String(stack))))) {
    return 'JSX and decorators have to be compiled (tsc, a bundler): point to the result.';
  }
  if ((code === 'EACCES' || code === 'EPERM') && typeof path === 'string') {
    return `The server runs applications as the user ${user()}: let that user have ${resolve(path)} (owner and permissions, also of the folders above it).`;
  }
  if ((code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') && typeof message === 'string') {
    const missing = /^Cannot find (?:module|package) '([^']+)'/.exec(message)?.[1];
    // A path is no package: a file is missing or has another name.
    if (missing !== undefined && !/^(?:[./#]|file:)/.test(missing)) return `Install the packages in the application's folder (\`npm install\`; \`npm install ${missing}\` if its package.json lacks it).`;
  }
  return undefined;
}

function user(): string {
  try {
    return userInfo().username;
  } catch {
    return `with the number ${process.getuid?.() ?? '?'}`;
  }
}
