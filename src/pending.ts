/** A request that waits for its application to be loaded. */
import { Exchange } from './exchange.js';
import type { Incoming } from './application.js';
import { RecordDecoder } from './record.js';

const decoder = new RecordDecoder();

/** Variables of a record for log lines and error pages. */
export function variablesOf(record: Buffer, exchange: Exchange): Record<string, unknown> {
  const variables = Object.create(null) as Record<string, unknown>;
  decoder.decode(record, 0, record.length, variables, exchange);
  return variables;
}

export class PendingExchange extends Exchange {
  readonly #record: Buffer;
  readonly #variables: Record<string, unknown>;

  /** @throws NwsgiError NWSGI2213 for a malformed record */
  constructor(incoming: Incoming) {
    super(incoming.bridge, incoming.handle, incoming.hasBody, incoming.target);
    this.#record = Buffer.from(incoming.bytes.subarray(incoming.start, incoming.end));
    this.#variables = variablesOf(this.#record, this);
  }

  override variables(): Record<string, unknown> {
    return this.#variables;
  }

  /** The request as it came, for the application that is there now. This object is of no use afterwards. */
  arriveAgain(incoming: Incoming): Incoming {
    return { ...incoming, bytes: this.#record, start: 0, end: this.#record.length };
  }
}
