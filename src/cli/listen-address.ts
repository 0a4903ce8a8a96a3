/** Where to listen, as it is written on the command line. */
import net from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { BadValue } from './values.js';

export type Protocol = 'fastcgi' | 'http';

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** A listening socket that was inherited under this number. */
  | { readonly kind: 'fd'; readonly fd: number }
  /** Sockets of systemd's socket unit: all, or those with this name. */
  | { readonly kind: 'systemd'; readonly name: string | undefined };

const ACCEPTED = 'an address is unix:/run/app.sock, 127.0.0.1:8000, [::1]:8000, *:8000, :8000, fd:3, systemd or systemd:NAME';

/** sun_path has 108 bytes, one of them ends it. */
const LONGEST_PATH = 107;

export function listenAddress(text: string, directory: string): ListenAddress {
  if (text.startsWith('unix:')) return unixAddress(text.slice(5).replace(/^\/\/(?=\/)/, ''), directory);
  if (text === 'systemd') return { kind: 'systemd', name: undefined };
  if (text.startsWith('systemd:')) return { kind: 'systemd', name: text.slice(8) };
  const fd = /^fd:(?:\/\/)?(\d+)$/.exec(text)?.[1];
  if (fd !== undefined) {
    if (Number(fd) < 3) throw new BadValue('names a standard stream: inherited sockets begin at fd:3');
    return { kind: 'fd', fd: Number(fd) };
  }
  if (text.includes('/')) throw new BadValue(`has a path: did you mean "unix:${text}"? (${ACCEPTED})`);
  return tcpAddress(text);
}

function unixAddress(path: string, directory: string): ListenAddress {
  if (path === '') throw new BadValue(`has no path (${ACCEPTED})`);
  if (path.startsWith('@')) throw new BadValue('is abstract: it has no permissions, so everybody could connect. Use a path');
  const absolute = isAbsolute(path) ? path : resolve(directory, path);
  if (Buffer.byteLength(absolute) > LONGEST_PATH) throw new BadValue(`is too long: the path of a unix socket has ${LONGEST_PATH} bytes at most`);
  return { kind: 'unix', path: absolute };
}

function tcpAddress(text: string): ListenAddress {
  const bracketed = /^\[([^\]]+)\]:(\d+)$/.exec(text);
  const [, host = '', port] = bracketed ?? /^([^:[\]]*):(\d+)$/.exec(text) ?? [];
  const number = Number(port);
  if (port === undefined) {
    if (net.isIPv6(text) || /^[^[].*:.*:\d+$/.test(text)) throw new BadValue(`has an IPv6 address without brackets (${ACCEPTED})`);
    if (/^[\w.-]+$/.test(text)) throw new BadValue(`has no port (${ACCEPTED})`);
    throw new BadValue(`is no address (${ACCEPTED})`);
  }
  if (number > 65535) throw new BadValue(`has port ${port}: ports go from 0 to 65535 (0: any that is free)`);
  if (bracketed !== null && !net.isIPv6(host)) throw new BadValue(`has no IPv6 address in the brackets (${ACCEPTED})`);
  return { kind: 'tcp', host: host === '' || host === '*' ? '' : host, port: number };
}

/** As it would be written. */
export function showAddress(address: ListenAddress): string {
  switch (address.kind) {
    case 'unix':
      return `unix:${address.path}`;
    case 'tcp':
      return `${net.isIPv6(address.host) ? `[${address.host}]` : address.host || '*'}:${address.port}`;
    case 'fd':
      return `fd:${address.fd}`;
    default:
      return address.name === undefined ? 'systemd' : `systemd:${address.name}`;
  }
}
