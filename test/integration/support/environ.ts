/** Requests to the application show-environ.mjs, and what it saw. */
import { head, type HttpdServer, type RawResponse } from '../harness/index.js';

export type Seen = Record<string, unknown>;

/** Sends the lines of a request head, and a body, as they are (latin-1); "Connection: close" is added. */
export async function rawRequest(server: HttpdServer, lines: readonly string[], body = '', host = 0): Promise<RawResponse> {
  const client = await server.raw(host);
  try {
    await client.send(head(...lines, 'Connection: close') + body);
    return await client.readResponse();
  } finally {
    client.close();
  }
}

/** The environ that the application saw for a raw request. */
export async function environFor(server: HttpdServer, lines: readonly string[], body = '', host = 0): Promise<Seen> {
  const response = await rawRequest(server, lines, body, host);
  if (response.status !== 200) throw new Error(`status ${response.status} for ${JSON.stringify(lines)}: ${response.text}`);
  return JSON.parse(response.text) as Seen;
}

/** Bytes from `first` to `last`, as latin-1 text. */
export const byteRange = (first: number, last: number): string =>
  String.fromCharCode(...Array.from({ length: last - first + 1 }, (_, index) => first + index));
