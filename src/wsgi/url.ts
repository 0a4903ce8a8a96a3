/** Helpers for addresses: what the CGI variables of an environ mean. */
import { Buffer } from 'node:buffer';
import type { Environ } from './types.js';

/** Latin-1 text as percent-encoded bytes, leaving the characters of a path alone (PEP 3333, "URL Reconstruction"). */
function quote(path: string): string {
  return path.replace(/[^A-Za-z0-9\-._~/;=,@:!$&'()*+]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/**
 * The address of the request, put together from the environ as PEP 3333, "URL Reconstruction", says (W-116).
 *
 * @param environ      the environ; its strings are latin-1
 * @param includeQuery false leaves out `?…`
 * @returns an absolute URL in ASCII
 */
export function requestUri(environ: Environ, includeQuery = true): string {
  const scheme = environ['wsgi.url_scheme'];
  let uri = `${scheme}://`;
  if (environ.HTTP_HOST !== undefined && environ.HTTP_HOST !== '') {
    uri += String(environ.HTTP_HOST);
  } else {
    const name = environ.SERVER_NAME;
    uri += name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
    if (environ.SERVER_PORT !== (scheme === 'https' ? '443' : '80')) uri += `:${environ.SERVER_PORT}`;
  }
  const path = quote(environ.SCRIPT_NAME ?? '') + quote(environ.PATH_INFO ?? '');
  uri += path === '' ? '/' : path;
  return includeQuery && environ.QUERY_STRING ? `${uri}?${environ.QUERY_STRING}` : uri;
}

/**
 * PATH_INFO as text: its bytes decoded as UTF-8. Bytes that are no UTF-8 become U+FFFD.
 *
 * PATH_INFO itself keeps one code unit for each byte, as PEP 3333 demands.
 */
export function pathInfo(environ: Environ): string {
  return Buffer.from(environ.PATH_INFO ?? '', 'latin1').toString('utf8');
}
