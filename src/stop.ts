/** The orderly end of an environment: in-flight requests first, then the application's own clean-up. */
import type { Dispatcher } from './dispatcher.js';
import { logText, Problem } from './errors.js';
import { LogLevel } from './native.js';
import type { NativeBridge } from './native.js';
import type { ProcessOutput } from './platform/process-setup.js';

/** Listeners get at least this long, also when the requests took all the time there was. */
const LEAST_FOR_LISTENERS = 100;

type Listener = (...args: unknown[]) => unknown;

/** Never rejects; the caller reports to the bridge afterwards. */
export async function stop(bridge: NativeBridge, dispatcher: Dispatcher, output: ProcessOutput, reason: string, milliseconds: number): Promise<void> {
  const deadline = Date.now() + milliseconds;
  await within(dispatcher.idle(), milliseconds);
  if (dispatcher.inFlight > 0) {
    bridge.log(0, LogLevel.warning, logText(Problem.stoppedInFlight, `${dispatcher.inFlight} in flight after ${milliseconds} ms, stop because of ${reason}`));
  }
  await within(terminate(bridge), Math.max(deadline - Date.now(), LEAST_FOR_LISTENERS));
  try {
    process.emit('exit', process.exitCode === undefined ? 0 : Number(process.exitCode));
  } catch (error) {
    bridge.log(0, LogLevel.error, logText(Problem.exitFailed, 'listener for "exit"', error));
  }
  output.flush();
}

/** Calls the listeners for SIGTERM one by one, unlike emit(), so that asynchronous ones can be waited for. */
async function terminate(bridge: NativeBridge): Promise<void> {
  const results: unknown[] = [];
  for (const listener of process.rawListeners('SIGTERM') as Listener[]) {
    try {
      results.push(listener.call(process, 'SIGTERM', 15));
    } catch (error) {
      results.push(Promise.reject(error));
    }
  }
  for (const outcome of await Promise.allSettled(results)) {
    if (outcome.status === 'rejected') bridge.log(0, LogLevel.error, logText(Problem.exitFailed, 'listener for "SIGTERM"', outcome.reason));
  }
}

async function within(work: Promise<void>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work, time]);
  clearTimeout(timer);
}
