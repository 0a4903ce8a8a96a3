/** What the server in front does not say of a request when it is no mod_nwsgi: which application it is for, and how. */
import type { ServedScript, WorkerConfig } from '../supervisor/messages.js';

type Pair = readonly [name: string, value: string];

/** Pairs of a record that are the same for all requests; the first one names the application. */
export function plainPairs({ processGroup, applicationGroup }: WorkerConfig, script: ServedScript): Pair[] {
  const { path, callable, type, errorPage, reloading } = script;
  // Records have bytes.
  const file = Buffer.from(path).toString('latin1');
  const pairs: Pair[] = [
    ['nwsgi.x-target', `${type}\n${callable}\n${file}`],
    ['SCRIPT_FILENAME', file],
    ['nwsgi.process_group', processGroup],
    ['nwsgi.application_group', applicationGroup],
    ['nwsgi.callable_object', callable],
    // Nobody in front has checked it on behalf of the application.
    ['nwsgi.x-authorization', '1'],
    ['nwsgi.x-multiprocess', '1'],
    ['nwsgi.x-sendfile', '1'],
  ];
  if (errorPage === 'development') pairs.push(['nwsgi.x-error-page', 'development']);
  if (reloading !== false) pairs.push(['nwsgi.x-reloading', '1']);
  return pairs;
}
