/**
 * Decodes the request record: name/value pairs as in FCGI_PARAMS (see native/exchange/record.h). Pure: knows nothing
 * of the bridge.
 *
 * Names that start with a colon are header names as the client wrote them; all others are variables. A FastCGI client
 * that knows nothing of this sends HTTP_… variables only, which is understood as well.
 */
import { NwsgiError, Problem } from './errors.js';
import { NameTable, Role } from './names.js';
import type { Meaning } from './names.js';

/** Keys with this prefix (and at most 48 bytes) are instructions for the gateway and never reach an application. */
export const INSTRUCTION_PREFIX = 'nwsgi.x-';
/** The instruction that comes first: which application is meant. See {@link Target}. */
export const TARGET = `${INSTRUCTION_PREFIX}target`;
const SCRIPT = 'SCRIPT_FILENAME';
const CALLABLE = `${INSTRUCTION_PREFIX}callable`;
const COLON = 58;

/** How an application is called: by its own contract, or `auto` to find out. */
export type ApplicationType = 'auto' | 'wsgi' | 'node' | 'fetch';

/** The name that WSGICallableObject has when nobody set it. */
export const USUAL_CALLABLE = 'application';

/** Which application a request is for. */
export interface Target {
  type: ApplicationType;
  callable: string;
  /** Path of the script, in the file system's bytes as latin-1. */
  script: string;
}

/** What the record asks of the gateway. */
export interface Instructions {
  developmentPage: boolean;
  reloading: boolean;
  multiprocess: boolean;
  /** Whether applications may see Authorization; undefined when the server does not say. */
  authorization: boolean | undefined;
  /** `NAME=value` joined by NUL: what the configuration adds to the environment of the application. */
  environment: string;
  /** Port of the local end of the connection; '' when it is not known. */
  localPort: string;
}

export function instruct(name: string, value: string, into: Instructions): void {
  switch (name) {
    case 'nwsgi.x-error-page':
      into.developmentPage = value.toLowerCase() === 'development';
      break;
    case 'nwsgi.x-reloading':
      into.reloading = value === '1';
      break;
    case 'nwsgi.x-multiprocess':
      into.multiprocess = value === '1';
      break;
    case 'nwsgi.x-authorization':
      into.authorization = value === '1';
      break;
    case 'nwsgi.x-env':
      into.environment = value;
      break;
    case 'nwsgi.x-local-port':
      into.localPort = value;
      break;
    default:
    // An instruction of a newer native module.
  }
}

const UNUSABLE_IN_CGI = /[^0-9A-Za-z-]/;

/**
 * The variable for a header (RFC 3875, 4.1.18). undefined for headers that variables cannot tell apart ('_' and '-'),
 * and for `Proxy`: HTTP_PROXY is a variable that HTTP clients of an application believe.
 */
export function variableOfHeader(name: string): string | undefined {
  if (UNUSABLE_IN_CGI.test(name)) return undefined;
  const upper = name.toUpperCase().replaceAll('-', '_');
  if (upper === 'PROXY' || upper === '') return undefined;
  return upper === 'CONTENT_TYPE' || upper === 'CONTENT_LENGTH' ? upper : `HTTP_${upper}`;
}

interface Latin1Bytes extends Uint8Array {
  latin1Slice(start: number, end: number): string;
}

/** Text of the bytes, one code unit for each. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return (bytes as unknown as Latin1Bytes).latin1Slice(start, end);
}

/** Walks over the pairs of a record. One for all: decoding never gives way to anything else. */
class PairCursor {
  nameAt = 0;
  nameLength = 0;
  valueAt = 0;
  valueEnd = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #at = 0;
  #end = 0;

  reset(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#start = start;
    this.#at = start;
    this.#end = end;
  }

  /**
   * Moves to the next pair; false at the end.
   *
   * @throws NwsgiError NWSGI2213 when a length points past the end.
   */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    this.nameLength = this.#length();
    if (this.#at >= this.#end) throw this.#malformed();
    const valueLength = this.#length();
    this.nameAt = this.#at;
    this.valueAt = this.nameAt + this.nameLength;
    this.valueEnd = this.valueAt + valueLength;
    if (this.valueEnd > this.#end) throw this.#malformed();
    this.#at = this.valueEnd;
    return true;
  }

  #length(): number {
    const short = this.#bytes[this.#at++] as number;
    if (short < 128) return short;
    if (this.#at + 3 > this.#end) throw this.#malformed();
    this.#at += 3;
    return ((short & 127) << 24) | this.#bytes.readUIntBE(this.#at - 3, 3);
  }

  #malformed(): NwsgiError {
    return new NwsgiError(Problem.badRecord, `a length at byte ${this.#at - this.#start} points past the end of the record (${this.#end - this.#start} bytes)`);
  }
}

export const cursor = new PairCursor();

const GUARDED = new Set(['HTTP_AUTHORIZATION', 'HTTP_PROXY_AUTHORIZATION']);

/**
 * Which application the record is for, as the text of its first pair; records of a plain FastCGI client are searched for
 * the script. The text is a key: {@link parseTarget} takes it apart.
 *
 * @throws NwsgiError NWSGI2213 for a malformed record.
 */
export function targetOf(bytes: Buffer, start: number, end: number): string {
  let script = '';
  let callable = 'application';
  cursor.reset(bytes, start, end);
  while (cursor.next()) {
    // Only these three lengths are looked at: the first pair of nearly all records ends the search.
    const { nameAt, nameLength, valueAt, valueEnd } = cursor;
    if (nameLength !== TARGET.length && nameLength !== SCRIPT.length && nameLength !== CALLABLE.length) continue;
    const name = latin1(bytes, nameAt, valueAt);
    if (name === TARGET) return latin1(bytes, valueAt, valueEnd);
    if (name === SCRIPT) script = latin1(bytes, valueAt, valueEnd);
    else if (name === CALLABLE) callable = latin1(bytes, valueAt, valueEnd);
  }
  return `auto\n${callable}\n${script}`;
}

export function parseTarget(key: string): Target {
  const [type = '', callable = '', ...script] = key.split('\n');
  return { type: isApplicationType(type) ? type : 'auto', callable, script: script.join('\n') };
}

export function isApplicationType(text: string): text is ApplicationType {
  return text === 'auto' || text === 'wsgi' || text === 'node' || text === 'fetch';
}

/** Decodes records into variables. `expected` are names that nearly every record has (at most 30), `ignored` those that none may set. */
export class RecordDecoder {
  /** What {@link decode} returns when all expected names were there. */
  readonly all: number;
  readonly #names: NameTable;

  constructor(expected: readonly string[] = [], ignored: readonly string[] = []) {
    this.all = 2 ** expected.length - 1;
    this.#names = new NameTable((name): Meaning => {
      if (name.startsWith(INSTRUCTION_PREFIX)) return { text: name, role: Role.Instruction };
      const text = name.charCodeAt(0) === COLON ? variableOfHeader(name.slice(1)) : name;
      if (text === undefined || ignored.includes(text)) return { text: name, role: Role.Ignored };
      if (text !== name && GUARDED.has(text)) return { text, role: Role.Guarded };
      const bit = expected.indexOf(text);
      return { text, role: bit < 0 ? Role.Plain : 2 ** bit };
    });
  }

  /**
   * Decodes the record in `bytes` from `start` to `end` into `environ` and `instructions`, as latin-1: one code unit for
   * each byte. All values are parts of one string and keep it alive. The last of equal names wins. Returns a bit for each
   * expected name that was there. Authorization is left out unless the record allows it.
   *
   * @throws NwsgiError NWSGI2213 when a length points past the end.
   */
  decode(bytes: Buffer, start: number, end: number, environ: Record<string, unknown>, instructions: Instructions): number {
    const names = this.#names;
    const text = latin1(bytes, start, end);
    const pairs = cursor;
    let guarded: [name: string, value: string][] | undefined;
    let seen = 0;
    pairs.reset(bytes, start, end);
    while (pairs.next()) {
      const slot = names.find(bytes, pairs.nameAt, pairs.nameLength);
      let name: string | undefined;
      let role: number = Role.Plain;
      if (slot >= 0) {
        name = names.texts[slot] as string;
        role = names.roles[slot] as number;
      } else {
        name = text.substring(pairs.nameAt - start, pairs.valueAt - start);
        if (name.charCodeAt(0) === COLON) name = variableOfHeader(name.slice(1));
      }
      if (role === Role.Ignored || name === undefined) continue;
      const value = text.substring(pairs.valueAt - start, pairs.valueEnd - start);
      if (role >= 0) {
        environ[name] = value;
        seen |= role;
      } else if (role === Role.Instruction) {
        instruct(name, value, instructions);
      } else {
        (guarded ??= []).push([name, value]);
      }
    }
    if (guarded !== undefined && instructions.authorization === true) {
      for (const [name, value] of guarded) environ[name] = value;
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
