/** What the tests of responses share. */
import { FakeHost } from '../../../src/testing/fake-host.js';
import type { FakeRequest, FakeResponse } from '../../../src/testing/fake-host.js';
import type { Header, StartResponse, WsgiApplication } from '../../../src/wsgi/types.js';

export const PLAIN: readonly Header[] = [['Content-Type', 'text/plain']];
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function serve(application: unknown, request?: FakeRequest): Promise<FakeResponse> {
  return new FakeHost(application as WsgiApplication).fetch(request);
}

/** An application that starts a 200 response and returns `body`. */
export function returning(body: unknown, headers: readonly Header[] = PLAIN): WsgiApplication {
  return ((_environ: unknown, startResponse: StartResponse) => {
    startResponse('200 OK', headers);
    return body;
  }) as WsgiApplication;
}

/** An iterable that counts what is done to it. */
export function counted(blocks: unknown[], onNext?: (i: number) => void): { next: number; returned: number; closed: number; close(): void } & Iterable<unknown> {
  const body = {
    next: 0,
    returned: 0,
    closed: 0,
    close() {
      body.closed++;
    },
    [Symbol.iterator]: () => ({
      next: () => {
        onNext?.(body.next);
        return body.next < blocks.length ? { done: false, value: blocks[body.next++] } : { done: true, value: undefined };
      },
      return: () => {
        body.returned++;
        return { done: true as const, value: undefined };
      },
    }),
  };
  return body as never;
}
