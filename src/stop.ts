/** The orderly end of an environment: in-flight requests first, then the application's own clean-up. */
import type { Dispatcher } from './dispatcher.js';
import { logText, Problem } from './errors.js';
import { LogLevel } from './native.js';
import type { NativeBridge } from './native.js';
import { activity } from './node/readiness.js';
import type { ProcessOutput } from './platform/process-setup.js';

/** The servers of applications; Listeners. */
export interface Servers {
  /** Closes all servers; resolves when no connection is left, upgraded ones included. */
  close(): Promise<void>;
  closeConnections(): void;
}

/** What ends. */
export interface Ending {
  readonly bridge: NativeBridge;
  readonly dispatcher: Dispatcher;
  readonly servers: Servers;
  readonly output: ProcessOutput;
  readonly python?: { stop(reason: string, milliseconds: number): void };
}

/** Listeners get at least this long, also when the requests took all the time there was. */
const LEAST_FOR_LISTENERS = 100;
/** Between looks at what an application still has to do. */
const PAUSE = 5;

type Listener = (...args: unknown[]) => unknown;

/** Never rejects; the caller reports to the bridge afterwards. */
export async function stop({ bridge, dispatcher, servers, output, python }: Ending, reason: string, milliseconds: number): Promise<void> {
  const deadline = Date.now() + milliseconds;
  await within(dispatcher.idle(), milliseconds);
  if (dispatcher.inFlight > 0) {
    bridge.log(0, LogLevel.warning, logText(Problem.stoppedInFlight, `${dispatcher.inFlight} in flight after ${milliseconds} ms, stop because of ${reason}`));
  }
  const untilDeadline = (work: Promise<void>): Promise<void> => within(work, Math.max(deadline - Date.now(), LEAST_FOR_LISTENERS));
  const told = tell(bridge);
  await untilDeadline(told.done);
  const closed = servers.close();
  // Connections with a protocol of their own last until somebody ends them: the application, if it knows.
  if (told.listeners === 0) servers.closeConnections();
  await untilDeadline(closed);
  if (told.mayGoOn) await untilDeadline(quiet(deadline));
  servers.closeConnections();
  python?.stop(reason, Math.max(deadline - Date.now(), LEAST_FOR_LISTENERS));
  try {
    process.emit('exit', process.exitCode === undefined ? 0 : Number(process.exitCode));
  } catch (error) {
    bridge.log(0, LogLevel.error, logText(Problem.exitFailed, 'listener for "exit"', error));
  }
  output.flush();
}

interface Told {
  readonly listeners: number;
  /** Some listener did not say when it is done: it may have begun something, and call process.exit() after it. */
  readonly mayGoOn: boolean;
  readonly done: Promise<void>;
}

/** Calls the listeners for SIGTERM, and for the message of process managers, one by one, so that asynchronous ones can be waited for. */
function tell(bridge: NativeBridge): Told {
  const calls = [
    ...process.rawListeners('SIGTERM').map((listener) => ({ event: 'SIGTERM', listener, args: ['SIGTERM', 15] })),
    ...process.rawListeners('message').map((listener) => ({ event: 'message', listener, args: ['shutdown', undefined] })),
  ];
  const results = calls.map(({ event, listener, args }) => {
    try {
      return { event, result: (listener as Listener).apply(process, args) };
    } catch (error) {
      return { event, result: Promise.reject(error as Error) };
    }
  });
  const done = Promise.allSettled(results.map(({ result }) => result)).then((outcomes) => {
    outcomes.forEach((outcome, i) => {
      if (outcome.status === 'rejected') bridge.log(0, LogLevel.error, logText(Problem.exitFailed, `listener for "${results[i]?.event}"`, outcome.reason));
    });
  });
  return { listeners: calls.length, mayGoOn: results.some(({ result }) => !isThenable(result)), done };
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** Resolves when nothing keeps the event loop alive: a process of its own would end then. */
async function quiet(deadline: number): Promise<void> {
  // First what is queued already; `within` waits with a timer of its own.
  do await new Promise((resolve) => setTimeout(resolve, PAUSE));
  while (activity() > 1 && Date.now() < deadline);
}

async function within(work: Promise<void>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work, time]);
  clearTimeout(timer);
}
