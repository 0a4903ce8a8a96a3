/** Whether a script can be read at all. */
import { access, constants } from 'node:fs/promises';
import { codeOf, NwsgiError, Problem } from './errors.js';

/** Undefined when it can; else why not. */
export async function whyUnreadable(script: string): Promise<NwsgiError | undefined> {
  try {
    await access(script, constants.R_OK);
    return undefined;
  } catch (cause) {
    return new NwsgiError(Problem.scriptMissing, `${script} ${codeOf(cause) === 'ENOENT' ? 'is not there' : `cannot be read (${String(codeOf(cause))})`}`, { cause });
  }
}
