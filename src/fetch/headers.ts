/**
 * What is particular about the Headers of the supported versions of Node.
 *
 * The fetch of some builds of Node 18 (that of Debian 12) joins the Set-Cookie headers of a Headers object with commas, and
 * has no getSetCookie(). What the standard says since is added there, so that frameworks and responses have their cookies.
 */

type Entries = Iterable<[string, string]>;

/** Where Headers up to Node 20 have their entries without an iterator, which takes them ten times as long to make. */
let entriesKey: symbol | undefined;

interface Cookies {
  getSetCookie?(): string[];
}

/** A comma before the name of another cookie, not one in a date. */
const BETWEEN_COOKIES = /,\s*(?=[!#$%&'*+\-.^_`|~0-9A-Za-z]+=)/;

/** These builds remember the single cookies, as pairs or as values, until the headers are copied. */
function remembered(headers: object): string[] {
  const list = Object.getOwnPropertySymbols(headers).find(({ description }) => description === 'headers list');
  const cookies = list === undefined ? undefined : (Reflect.get(headers, list) as { cookies?: unknown }).cookies;
  return Array.isArray(cookies) ? cookies.map((cookie: string | string[]) => (typeof cookie === 'string' ? cookie : String(cookie[1]))) : [];
}

function cookiesIn(headers: object, joined: string): string[] {
  const cookies = remembered(headers);
  return cookies.join(', ') === joined ? cookies : joined.split(BETWEEN_COOKIES);
}

/** Names and values, single cookies apart. */
export function entriesOf(headers: Headers): Entries {
  if (entriesKey === undefined) return headers;
  const entries = Reflect.get(headers, entriesKey) as Entries | undefined;
  // A Map joins cookies.
  return entries === undefined || (entries instanceof Map && entries.has('set-cookie')) ? headers : entries;
}

/** Prepares the platform's Headers; does little where they keep cookies apart. */
export function prepareHeaders(platform: typeof Headers): typeof Headers {
  const prototype = platform.prototype as Headers & Cookies;
  entriesKey = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'headers map sorted');
  if (typeof prototype.getSetCookie === 'function') return platform;
  const joinedEntries = Object.getOwnPropertyDescriptor(prototype, 'entries')?.value as (this: Headers) => Entries;
  const apart = {
    *entries(this: Headers): Generator<[string, string]> {
      for (const [name, value] of joinedEntries.call(this)) {
        if (name !== 'set-cookie') yield [name, value];
        else for (const cookie of cookiesIn(this, value)) yield [name, cookie];
      }
    },
    *keys(this: Headers): Generator<string> {
      for (const [name] of this) yield name;
    },
    *values(this: Headers): Generator<string> {
      for (const [, value] of this) yield value;
    },
    getSetCookie(this: Headers): string[] {
      const joined = this.get('set-cookie');
      return joined === null ? [] : cookiesIn(this, joined);
    },
  };
  for (const [name, value] of Object.entries(apart)) {
    Object.defineProperty(prototype, name, { configurable: true, enumerable: true, writable: true, value });
  }
  // What forEach() and the constructors of the platform use.
  Object.defineProperty(prototype, Symbol.iterator, { configurable: true, writable: true, value: apart.entries });
  return platform;
}
