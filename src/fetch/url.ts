/** The URL of a request as Web-standard handlers see it: absolute, below the mount, in the URL standard's spelling. */
import type { RequestHead } from '../request-head.js';

/** What the URL standard leaves as it is in a path and in a query. */
const PLAIN = /^\/[A-Za-z0-9\-._~!$&()*+,;=:@%/]*(?:\?[A-Za-z0-9\-._~!$&()*+,;=:@%/?]*)?$/;
/** Segments that it might resolve. */
const DOTS = /\/(?:\.|%2e)/i;
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)(.*)$/i;
const AUTHORITY = /^[^\s/?#@\\]+$/;

/** Authority as the client wrote it → its origin, '' for one that is none. Bounded: clients could make names up. */
const origins = new Map<string, string>();
const MOST_ORIGINS = 256;

function parsedOrigin(base: string, authority: string): string {
  if (!AUTHORITY.test(authority)) return '';
  try {
    return new URL(base).origin;
  } catch {
    return '';
  }
}

function originOf(secure: boolean, authority: string): string {
  const base = `${secure ? 'https' : 'http'}://${authority}`;
  let origin = origins.get(base);
  if (origin === undefined) {
    origin = parsedOrigin(base, authority);
    if (origins.size >= MOST_ORIGINS) origins.clear();
    origins.set(base, origin);
  }
  return origin;
}

/** Bytes that no URL may have, as clients send them all the same. */
function encoded(target: string): string {
  return target.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * An application routes below its mount as it would at the root of a site, like Node applications by `req.url`.
 * `fallback` gives the authority to use when the request names none, or one that is not valid.
 */
export function urlOf(head: RequestHead, fallback: () => string): string {
  let authority = head.header('host') ?? '';
  let target = head.urlBelowMount();
  const absolute = target.startsWith('/') ? null : ABSOLUTE.exec(target);
  if (absolute !== null) {
    [, authority = '', target = ''] = absolute;
    if (!target.startsWith('/')) target = `/${target}`;
  } else if (!target.startsWith('/')) {
    // "*" of OPTIONS: the server as a whole.
    target = '/';
  }
  const origin = originOf(head.secure, authority) || originOf(head.secure, fallback()) || 'http://localhost';
  if (PLAIN.test(target) && !DOTS.test(target)) return origin + target;
  return new URL(origin + encoded(target)).href;
}
