/** When the parts of a streamed response arrive. */
import { expect } from 'vitest';
import { sleep, waitFor, type RequestOptions } from '../../integration/harness/index.js';
import type { Target } from './targets.js';

export interface Arrivals {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  /** Milliseconds between the first byte of the body and the last. */
  spread: number;
}

export async function arrivals(target: Target, path: string, options: RequestOptions = {}): Promise<Arrivals> {
  const { response } = await target.open(path, options);
  let first: number | undefined;
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    first ??= performance.now();
    text += chunk as string;
  }
  return { status: response.statusCode ?? 0, headers: response.headers, text, spread: performance.now() - (first ?? performance.now()) };
}

/** Events of a `text/event-stream`: the values of their `data` fields. */
export const eventData = (text: string): string[] => [...text.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1] as string);

/** Begins a request to `path`, leaves after the first byte, and waits until `seen` says that the application noticed. */
export async function leaveEarly(target: Target, path: string, seen: () => Promise<boolean>): Promise<void> {
  const { request, response } = await target.open(path);
  response.on('error', () => {});
  await new Promise((resolve) => response.once('data', resolve));
  request.destroy();
  await waitFor('the application to notice', seen, 5000, 50);
}

/** As {@link leaveEarly}, before the application has answered at all. */
export async function leaveUnanswered(target: Target, path: string, seen: () => Promise<boolean>): Promise<void> {
  const gone = target.open(path, { timeout: 300 });
  await expect(gone).rejects.toThrow();
  await sleep(50);
  await waitFor('the application to notice', seen, 5000, 50);
}
