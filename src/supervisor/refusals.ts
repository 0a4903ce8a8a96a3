/** What children are answered, for their requests, when no worker will serve them soon. */
import type { Refusal } from './hello.js';
import { Code } from './problems.js';

/** Seconds after which a client may try again. */
const RETRY_AFTER = 2;

export function tooManyWait(applicationGroup: string): Refusal {
  return { status: 503, retryAfter: RETRY_AFTER, code: Code.tooManyWait, message: `application group '${applicationGroup}': too many requests wait for a worker` };
}

export function crashLoop(applicationGroup: string): Refusal {
  const message = `application group '${applicationGroup}': it crashes again and again; it is started again after a pause`;
  return { status: 503, retryAfter: RETRY_AFTER, code: Code.crashLoop, message };
}

/** What led to it will not go by itself. */
export function hopeless(status: number, code: string, message: string): Refusal {
  return { status, retryAfter: RETRY_AFTER, code, message };
}

export function tableFull(applicationGroup: string, processGroup: string, groups: number): Refusal {
  const message = `application group '${applicationGroup}': process group '${processGroup}' has ${groups} application groups already`;
  return { status: 503, retryAfter: 0, code: Code.tableFull, message };
}

export function stopping(processGroup: string): Refusal {
  return { status: 503, retryAfter: 1, code: Code.stopping, message: `process group '${processGroup}' is stopping` };
}
