/** Waiting for what may never come. */
import type { Exchange } from './exchange.js';

/**
 * Waits for something of the application. After an abort that waiting has an end (see Exchange.abort): undefined is
 * returned then, and what comes of the promise later goes to `late`. One closure is kept, however often an
 * application is waited for; Promise.race would keep one for each time.
 */
export function patiently<T>(exchange: Exchange, promise: PromiseLike<T>, late?: (value: T) => void): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    let waiting = true;
    exchange.waitFor(() => {
      waiting = false;
      resolve(undefined);
    });
    promise.then((value) => {
      if (waiting) resolve(value);
      else late?.(value);
    }, reject);
  });
}
