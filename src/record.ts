/**
 * Decodes the request record: name/value pairs as in FCGI_PARAMS (see native/exchange/record.h). Pure: knows nothing
 * of the bridge.
 */
import { NwsgiError, Problem } from './errors.js';

/** Keys with this prefix are instructions for the gateway and never reach an application. */
export const INSTRUCTION_PREFIX = 'nwsgi.x-';

/** What the record asks of the gateway. */
export interface Instructions {
  callable: string;
  developmentPage: boolean;
  reloading: boolean;
  multiprocess: boolean;
}

function malformed(position: number, size: number): NwsgiError {
  return new NwsgiError(Problem.badRecord, `a length at byte ${position} points past the end of the record (${size} bytes)`);
}

function instruct(name: string, value: string, into: Instructions): void {
  switch (name) {
    case 'nwsgi.x-callable':
      into.callable = value;
      break;
    case 'nwsgi.x-error-page':
      into.developmentPage = value.toLowerCase() === 'development';
      break;
    case 'nwsgi.x-reloading':
      into.reloading = value === '1';
      break;
    case 'nwsgi.x-multiprocess':
      into.multiprocess = value === '1';
      break;
    default:
    // An instruction of a newer native module.
  }
}

/**
 * Decodes `record` (latin-1: one code unit for each byte) into `environ` and `instructions`. All values are parts of
 * `record` and keep it alive. The last of equal names wins.
 *
 * @throws NwsgiError NWSGI2213 when a length points past the end.
 */
export function decodeRecord(record: string, environ: Record<string, unknown>, instructions: Instructions): void {
  const size = record.length;
  let at = 0;
  while (at < size) {
    // An absent code unit reads as NaN: it fails `< 128`, becomes 0 by the bit operations and is caught by `end > size`.
    let nameLength = record.charCodeAt(at++);
    if (nameLength > 127) {
      if (at + 3 > size) throw malformed(at - 1, size);
      nameLength =
        ((nameLength & 127) << 24) |
        (record.charCodeAt(at) << 16) |
        (record.charCodeAt(at + 1) << 8) |
        record.charCodeAt(at + 2);
      at += 3;
    }
    if (at >= size) throw malformed(at, size);
    let valueLength = record.charCodeAt(at++);
    if (valueLength > 127) {
      if (at + 3 > size) throw malformed(at - 1, size);
      valueLength =
        ((valueLength & 127) << 24) |
        (record.charCodeAt(at) << 16) |
        (record.charCodeAt(at + 1) << 8) |
        record.charCodeAt(at + 2);
      at += 3;
    }
    const valueAt = at + nameLength;
    const end = valueAt + valueLength;
    if (end > size) throw malformed(at, size);
    // "nwsgi.x-" is told apart by its 'n' and 'x' first: this runs for every variable of every request.
    const isInstruction =
      nameLength > 8 && record.charCodeAt(at) === 110 && record.charCodeAt(at + 6) === 120 && record.startsWith(INSTRUCTION_PREFIX, at);
    if (isInstruction) instruct(record.substring(at, valueAt), record.substring(valueAt, end), instructions);
    else environ[record.substring(at, valueAt)] = record.substring(valueAt, end);
    at = end;
  }
}

/** Encodes pairs as a record, latin-1; for tests and for hosts without the native module. */
export function encodeRecord(pairs: Iterable<readonly [string, string]>): string {
  const length = (n: number): string =>
    n < 128 ? String.fromCharCode(n) : String.fromCharCode((n >>> 24) | 128, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);
  let record = '';
  for (const [name, value] of pairs) record += length(name.length) + length(value.length) + name + value;
  return record;
}
