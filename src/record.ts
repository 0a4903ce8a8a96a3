/**
 * Decodes the request record: name/value pairs as in FCGI_PARAMS (see native/exchange/record.h). Pure: knows nothing
 * of the bridge.
 */
import { NwsgiError, Problem } from './errors.js';
import { NameTable, Role } from './names.js';

/** Keys with this prefix (and at most 48 bytes) are instructions for the gateway and never reach an application. */
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

interface Latin1Bytes extends Uint8Array {
  latin1Slice(start: number, end: number): string;
}

/** Decodes records. `expected` are names that nearly every record has (at most 30), `ignored` those that none may set. */
export class RecordDecoder {
  /** What {@link decode} returns when all expected names were there. */
  readonly all: number;
  readonly #names: NameTable;

  constructor(expected: readonly string[] = [], ignored: readonly string[] = []) {
    this.all = 2 ** expected.length - 1;
    this.#names = new NameTable((name) => {
      if (name.startsWith(INSTRUCTION_PREFIX)) return Role.Instruction;
      if (ignored.includes(name)) return Role.Ignored;
      const bit = expected.indexOf(name);
      return bit < 0 ? Role.Plain : 2 ** bit;
    });
  }

  /**
   * Decodes the record in `bytes` from `start` to `end` into `environ` and `instructions`, as latin-1: one code unit for
   * each byte. All values are parts of one string and keep it alive. The last of equal names wins. Returns a bit for each
   * expected name that was there.
   *
   * @throws NwsgiError NWSGI2213 when a length points past the end.
   */
  decode(bytes: Buffer, start: number, end: number, environ: Record<string, unknown>, instructions: Instructions): number {
    const names = this.#names;
    const text = (bytes as unknown as Latin1Bytes).latin1Slice(start, end);
    let seen = 0;
    let at = start;
    while (at < end) {
      let nameLength = bytes[at++] as number;
      if (nameLength > 127) {
        if (at + 3 > end) throw malformed(at - 1 - start, end - start);
        nameLength = ((nameLength & 127) << 24) | bytes.readUIntBE(at, 3);
        at += 3;
      }
      if (at >= end) throw malformed(at - start, end - start);
      let valueLength = bytes[at++] as number;
      if (valueLength > 127) {
        if (at + 3 > end) throw malformed(at - 1 - start, end - start);
        valueLength = ((valueLength & 127) << 24) | bytes.readUIntBE(at, 3);
        at += 3;
      }
      const valueAt = at + nameLength;
      const next = valueAt + valueLength;
      if (next > end) throw malformed(at - start, end - start);
      const slot = names.find(bytes, at, nameLength);
      const name = slot < 0 ? text.substring(at - start, valueAt - start) : (names.texts[slot] as string);
      const role = slot < 0 ? Role.Plain : (names.roles[slot] as number);
      const value = text.substring(valueAt - start, next - start);
      if (role >= 0) {
        environ[name] = value;
        seen |= role;
      } else if (role === Role.Instruction) {
        instruct(name, value, instructions);
      }
      at = next;
    }
    return seen;
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
