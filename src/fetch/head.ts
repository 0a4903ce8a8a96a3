/** Packs the head of a Response for the bridge: "HTTP/1.1 200 OK\nname:value\n". */
import { NwsgiTypeError, Problem } from '../errors.js';
import { http } from '../http-module.js';
import { entriesOf } from './headers.js';
import { show } from '../show.js';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const BAD_TEXT = /[^\t\x20-\x7e\x80-\xff]/;
const DIGITS = /^\d{1,15}$/;

/** What fetch() has undone when it gives a body. */
const UNDONE_CODING = /^(?:gzip|x-gzip|deflate|br|zstd|,|\s)+$/i;

/** Names seen before. Bounded: an application could make names up. */
const knownNames = new Set<string>();
const MOST_KNOWN_NAMES = 512;

export interface PackedHead {
  /** Without Content-Length. */
  text: string;
  /** -1 when the response does not say. */
  contentLength: number;
}

function cannotSend(message: string): NwsgiTypeError {
  return new NwsgiTypeError(Problem.badResponse, message);
}

function checkName(name: string): void {
  if (!TOKEN.test(name)) throw cannotSend(`the header name ${show(name)} of the Response is not an HTTP token`);
  if (knownNames.size < MOST_KNOWN_NAMES) knownNames.add(name);
}

function statusLine({ status, statusText, type }: Response): string {
  if (type === 'error') throw cannotSend('the Response is Response.error(), which stands for a failed fetch and cannot be sent');
  if (!Number.isInteger(status) || status < 200 || status > 999) throw cannotSend(`the Response has the status ${show(status)}; it must be from 200 to 999`);
  if (statusText === '' || statusText === undefined) return `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? 'Unknown'}\n`;
  if (typeof statusText !== 'string' || BAD_TEXT.test(statusText)) throw cannotSend(`the status text ${show(statusText)} of the Response has characters that HTTP forbids`);
  return `HTTP/1.1 ${status} ${statusText}\n`;
}

/** The body of what fetch() got was decoded; its Content-Encoding and its Content-Length tell of how it came. */
function wasDecoded(response: Response): boolean {
  return response.url !== '' && response.url !== undefined && response.body !== null && UNDONE_CODING.test(response.headers.get('content-encoding') ?? '-');
}

/**
 * Checks what a Response of another make than the platform's could get wrong, too.
 *
 * @throws NwsgiTypeError NWSGI2232
 */
export function packHead(response: Response): PackedHead {
  let text = statusLine(response);
  let contentLength = -1;
  const decoded = wasDecoded(response);
  for (const [name, value] of entriesOf(response.headers)) {
    if (!knownNames.has(name)) checkName(name);
    if (BAD_TEXT.test(value)) throw cannotSend(`the value of header ${show(name)} of the Response has a control character or one above U+00FF`);
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      if (!DIGITS.test(value)) throw cannotSend(`Content-Length must be a number of bytes, not ${show(value)}`);
      if (!decoded) contentLength = Number(value);
    } else if (!decoded || name !== 'content-encoding') {
      text += `${name}:${value}\n`;
    }
  }
  return { text, contentLength };
}
