/**
 * Validates the status and the headers of a response and packs them for the bridge: "200 OK\nName:value\n".
 * Content-Length is kept apart because the gateway may have to add, honour or drop it.
 */
import { NwsgiTypeError, Problem } from '../errors.js';
import { show } from '../show.js';
import type { Header } from './types.js';

/** Where {@link packHead} puts its result; nothing is changed when it throws. */
export interface HeadTarget {
  statusCode: number;
  /** Status line and headers except Content-Length. */
  head: string;
  /** -1 when the application gave none. */
  contentLength: number;
}

const STATUS = /^[1-9]\d\d [\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff]$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const DIGITS = /^\d{1,15}$/;

const PLAIN = 0;
const CONTENT_LENGTH = 1;
const FORBIDDEN = 2;
type NameKind = typeof PLAIN | typeof CONTENT_LENGTH | typeof FORBIDDEN;

/** Hop-by-hop headers (W-79) and `Status` (W-80): the server's own business. */
const FORBIDDEN_NAMES = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'trailers',
  'transfer-encoding', 'upgrade', 'status',
]);

/** Names seen before, with what they mean. Bounded: an application could make names up. */
const knownNames = new Map<string, NameKind>();
const MOST_KNOWN_NAMES = 512;

function classify(name: string): NameKind {
  if (!TOKEN.test(name)) throw badHeaders(`the header name ${show(name)} is not an HTTP token`);
  const lower = name.toLowerCase();
  const kind = lower === 'content-length' ? CONTENT_LENGTH : FORBIDDEN_NAMES.has(lower) ? FORBIDDEN : PLAIN;
  if (knownNames.size < MOST_KNOWN_NAMES) knownNames.set(name, kind);
  return kind;
}

function badHeaders(message: string): NwsgiTypeError {
  return new NwsgiTypeError(Problem.badHeaders, message);
}

function checkStatus(status: unknown): number {
  if (typeof status !== 'string') throw new NwsgiTypeError(Problem.badStatus, `the status must be a string such as "200 OK", not ${show(status)}`);
  if (!STATUS.test(status)) {
    throw new NwsgiTypeError(Problem.badStatus, `the status must be three digits, a space and a reason without control characters, not ${show(status)}`);
  }
  const code = (status.charCodeAt(0) - 48) * 100 + (status.charCodeAt(1) - 48) * 10 + (status.charCodeAt(2) - 48);
  if (code < 200) throw new NwsgiTypeError(Problem.badStatus, `${show(status)} is an interim status; use environ["wsgi.early_hints"] for 103`);
  return code;
}

function parseLength(value: string, before: number): number {
  if (!DIGITS.test(value)) throw badHeaders(`Content-Length must be a number of bytes, not ${show(value)}`);
  if (before >= 0) throw badHeaders('Content-Length is given twice');
  return Number(value);
}

/** Packs header lines; Content-Length goes to `target` if there is one. */
function packHeaders(headers: unknown, start: string, target: HeadTarget | undefined): string {
  if (!Array.isArray(headers)) throw badHeaders(`the headers must be an array of [name, value] arrays, not ${show(headers)}`);
  let packed = start;
  let contentLength = -1;
  for (let i = 0; i < headers.length; i++) {
    const pair: unknown = headers[i];
    if (!Array.isArray(pair) || pair.length !== 2) throw badHeaders(`header ${i} must be an array [name, value], not ${show(pair)}`);
    const name: unknown = pair[0];
    const value: unknown = pair[1];
    if (typeof name !== 'string') throw badHeaders(`the name of header ${i} must be a string, not ${show(name)}`);
    if (typeof value !== 'string') throw badHeaders(`the value of header ${show(name)} must be a string, not ${show(value)}`);
    if (BAD_VALUE.test(value)) throw badHeaders(`the value of header ${show(name)} has a control character or one above U+00FF`);
    const kind = knownNames.get(name) ?? classify(name);
    if (kind === PLAIN) packed += `${name}:${value}\n`;
    else if (kind === FORBIDDEN) throw badHeaders(`the header ${show(name)} belongs to the server; an application cannot set it`);
    else contentLength = parseLength(value, contentLength);
  }
  if (target !== undefined) target.contentLength = contentLength;
  return packed;
}

/**
 * Checks everything that PEP 3333 and HTTP demand of a response head (W-71…W-81) and puts the packed form into `target`.
 *
 * @throws NwsgiTypeError NWSGI2206 (status) or NWSGI2207 (headers)
 */
export function packHead(status: string, headers: readonly Header[], target: HeadTarget): void {
  const code = checkStatus(status);
  target.head = packHeaders(headers, `${status}\n`, target);
  target.statusCode = code;
}

/** The packed head of a 103 response. */
export function packEarlyHints(headers: readonly Header[]): string {
  return packHeaders(headers, '103 Early Hints\n', undefined);
}
