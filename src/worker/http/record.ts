/** Makes the record of a request that Node's own HTTP server got, as native/module/request_record.cc does it in httpd. */
import type { IncomingMessage } from 'node:http';
import { encodeRecord } from '../../record.js';

/** What is the same for all requests to an application. */
export interface Site {
  /** In front of each record, encoded. */
  readonly pairs: string;
  /** URL prefix; '' for all. */
  readonly mount: string;
  readonly serverSoftware: string;
}

/** A request that no application gets, and the answer. */
export interface Refusal {
  readonly status: number;
}

const ESCAPE = /%([0-9a-f]{2})?/gi;
const HOST = /^(\[[0-9a-f:.]+\]|[^:/?#@\s]*)(?::\d*)?$/i;

let requests = 0;
const since = Date.now().toString(36);

/** The record, encoded, for the first site whose mount the path is below. */
export function recordOf(req: IncomingMessage, sites: readonly Site[]): string | Refusal {
  const target = req.url ?? '/';
  const path = pathOf(target);
  if (path === undefined) return { status: 400 };
  const site = sites.find(({ mount }) => path.startsWith(mount) && (mount === '' || path.length === mount.length || path[mount.length] === '/'));
  if (site === undefined) return { status: 404 };
  const { mount } = site;
  const { socket } = req;
  const question = target.indexOf('?');
  const port = String(socket.localPort ?? '');
  const pairs: [string, string][] = [
    ['REQUEST_METHOD', req.method ?? ''],
    ['SCRIPT_NAME', mount],
    ['PATH_INFO', path.slice(mount.length)],
    ['QUERY_STRING', question < 0 ? '' : target.slice(question + 1)],
    ['REQUEST_URI', target],
    ['RAW_URI', target],
    ['REQUEST_SCHEME', 'http'],
    ['wsgi.url_scheme', 'http'],
    ['SERVER_NAME', HOST.exec(req.headers.host ?? '')?.[1] || socket.localAddress || 'localhost'],
    ['SERVER_PORT', port === '' ? '80' : port],
    ['SERVER_PROTOCOL', `HTTP/${req.httpVersion}`],
    ['SERVER_SOFTWARE', site.serverSoftware],
    ['GATEWAY_INTERFACE', 'CGI/1.1'],
    ['nwsgi.request_id', `${process.pid.toString(36)}-${since}-${(requests++).toString(36)}`],
    ['nwsgi.x-local-port', port],
  ];
  // A unix socket has no addresses.
  if (socket.localAddress !== undefined) pairs.push(['SERVER_ADDR', socket.localAddress]);
  pairs.push(['REMOTE_ADDR', socket.remoteAddress ?? ''], ['REMOTE_PORT', String(socket.remotePort ?? '')]);
  addHeaders(pairs, req.rawHeaders);
  return site.pairs + encodeRecord(pairs);
}

/** Headers keep the names that the client wrote. Lines of the same name are joined, as httpd does it. */
function addHeaders(pairs: [string, string][], raw: readonly string[]): void {
  const known = new Map<string, [string, string]>();
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const key = name.toLowerCase();
    const before = known.get(key);
    if (before === undefined) {
      const pair: [string, string] = [`:${name}`, value];
      known.set(key, pair);
      pairs.push(pair);
    } else if (key !== 'host') {
      before[1] += (key === 'cookie' ? '; ' : ', ') + value;
    }
  }
}

/** The path in the request's target, decoded to bytes; undefined when it is malformed. */
function pathOf(target: string): string | undefined {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  const end = path.search(/[?#]/);
  const raw = end < 0 ? path : path.slice(0, end);
  // "OPTIONS *" has none; after a bare "http://host" it is the root's.
  if (raw === '*') return '';
  if (raw === '') return '/';
  if (raw.charCodeAt(0) !== 47) return undefined;
  let valid = true;
  const decoded = !raw.includes('%')
    ? raw
    : raw.replace(ESCAPE, (_, digits: string | undefined) => {
        if (digits === undefined || digits === '00') valid = false;
        return String.fromCharCode(parseInt(digits ?? '0', 16));
      });
  return valid ? decoded : undefined;
}
