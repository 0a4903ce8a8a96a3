import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * Calls `probe` until it returns something truthy, and returns that.
 * @throws an Error that names `what` when `milliseconds` have passed.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  milliseconds = 10_000,
  interval = 20,
): Promise<NonNullable<T>> {
  const end = performance.now() + milliseconds;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > end) throw new Error(`waited ${milliseconds} ms for ${what}`);
    await sleep(interval);
  }
}

/** Rejects when `promise` takes longer. */
export async function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
