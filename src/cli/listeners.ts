/** The listening sockets of a server: opened, inherited from systemd or from a predecessor, and removed at the end. */
import { chownSync, closeSync, lstatSync, unlinkSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { lookup } from 'node:dns/promises';
import net from 'node:net';
import type { ActivatedSocket } from './activation.js';
import { CliError, usageError } from './failure.js';
import { showAddress } from './listen-address.js';
import type { ListenAddress, Protocol } from './listen-address.js';
import { errorName } from './support.js';
import type { SocketDescription, Support } from './support.js';

export interface Wanted {
  readonly protocol: Protocol;
  readonly address: ListenAddress;
}

export interface SocketSettings {
  readonly mode: number;
  /** Owner of unix sockets; -1 to leave it. */
  readonly uid: number;
  readonly gid: number;
  readonly backlog: number;
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
}

export interface OpenListener {
  readonly fd: number;
  readonly protocol: Protocol;
  /** "unix:/run/app.sock" or "127.0.0.1:8000", with the port that is really used. */
  readonly description: string;
  /** As it was wanted: by this a successor finds it again. */
  readonly key: string;
  /** The file of a unix socket that this server made. */
  readonly file: SocketFile | undefined;
}

export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/** A socket that a predecessor left to this process. */
export interface Inherited {
  readonly fd: number;
  readonly key: string;
}

export class Listeners {
  readonly #support: Support;
  readonly #settings: SocketSettings;
  readonly #open: OpenListener[] = [];

  constructor(support: Support, settings: SocketSettings) {
    this.#support = support;
    this.#settings = settings;
  }

  get all(): readonly OpenListener[] {
    return this.#open;
  }

  /** Opens, or finds among what was inherited, everything that is wanted. @throws CliError; nothing stays open then. */
  async openAll(wanted: readonly Wanted[], activated: readonly ActivatedSocket[], inherited: readonly Inherited[]): Promise<void> {
    const left = new Map(inherited.map((one) => [one.key, one.fd]));
    try {
      for (const one of expand(wanted, activated)) {
        const key = keyOf(one);
        if (this.#open.some((other) => other.key === key)) throw usageError(`${showAddress(one.address)} is given twice`);
        const fd = left.get(key);
        left.delete(key);
        this.#open.push(fd === undefined ? await this.#openOne(one, key) : this.#adopt(one, key, fd));
      }
    } catch (error) {
      this.removeFiles();
      this.close();
      throw error;
    }
    // What the predecessor listened on and the new command line does not name.
    for (const fd of left.values()) closeSync(fd);
  }

  /** Removes the files of unix sockets, unless somebody else has put other ones there. */
  removeFiles(): void {
    for (const { file } of this.#open) {
      if (file === undefined) continue;
      try {
        const now = lstatSync(file.path);
        if (now.dev === file.device && now.ino === file.inode) unlinkSync(file.path);
      } catch {
        // It is gone, or its folder belongs to root: the next start finds that nobody listens and replaces it.
      }
    }
  }

  close(): void {
    for (const { fd } of this.#open.splice(0)) closeSync(fd);
  }

  async #openOne({ protocol, address }: Wanted, key: string): Promise<OpenListener> {
    if (address.kind === 'unix') return this.#openUnix(protocol, address.path, key);
    if (address.kind === 'tcp') return this.#openTcp(protocol, address, key);
    if (address.kind === 'systemd') throw usageError('--http and --fastcgi take "systemd" only where a socket unit has opened sockets (LISTEN_FDS)');
    return this.#adopt({ protocol, address }, key, address.fd);
  }

  async #openUnix(protocol: Protocol, path: string, key: string): Promise<OpenListener> {
    await removeStale(path);
    const { mode, uid, gid, backlog } = this.#settings;
    const fd = this.#support.openUnixListener(path, mode, backlog);
    if (fd < 0) throw cannotListen(`unix:${path}`, fd);
    const stat = lstatSync(path);
    const listener = { fd, protocol, description: `unix:${path}`, key, file: { path, device: stat.dev, inode: stat.ino } };
    try {
      if (uid !== -1 || gid !== -1) chownSync(path, uid, gid);
    } catch (error) {
      unlinkSync(path);
      closeSync(fd);
      throw new CliError('NWSGI4306', `the owner of unix:${path} cannot be changed (${(error as NodeJS.ErrnoException).code ?? ''}): only root may give files away, others only to a group that they are in`);
    }
    return this.#ready(listener);
  }

  async #openTcp(protocol: Protocol, address: { host: string; port: number }, key: string): Promise<OpenListener> {
    const named = showAddress({ kind: 'tcp', ...address });
    let last = 0;
    for (const host of await numericHosts(address.host)) {
      const fd = this.#support.openTcpListener(host, address.port, this.#settings.backlog);
      if (fd >= 0) {
        const { port } = this.#support.describeSocket(fd) as SocketDescription;
        return this.#ready({ fd, protocol, description: showAddress({ kind: 'tcp', host: address.host, port }), key, file: undefined });
      }
      last = fd;
    }
    throw cannotListen(named, last);
  }

  #ready(listener: OpenListener): OpenListener {
    const { sendBuffer, receiveBuffer } = this.#settings;
    if (sendBuffer > 0 || receiveBuffer > 0) this.#support.setSocketBuffers(listener.fd, sendBuffer, receiveBuffer);
    return listener;
  }

  #adopt({ protocol, address }: Wanted, key: string, fd: number): OpenListener {
    const socket = this.#support.describeSocket(fd);
    if (typeof socket === 'number') throw usageError(`descriptor ${fd} is no socket (${errorName(socket)})`);
    if (!socket.stream || !socket.listening) throw usageError(`descriptor ${fd} is no listening stream socket (ListenStream= in a systemd unit)`);
    const description = socket.family === 'unix' ? `unix:${socket.address}` : showAddress({ kind: 'tcp', host: socket.address, port: socket.port });
    // A file belongs to the server that made it: a predecessor of this one, but not systemd.
    return this.#ready({ fd, protocol, description, key, file: address.kind === 'unix' ? fileOf(address.path) : undefined });
  }
}

const keyOf = ({ protocol, address }: Wanted): string => `${protocol} ${showAddress(address)}`;

function fileOf(path: string): SocketFile | undefined {
  try {
    const { dev, ino } = lstatSync(path);
    return { path, device: dev, inode: ino };
  } catch {
    return undefined;
  }
}

/** Puts what systemd opened in the place of the word "systemd", or of nothing at all. */
function expand(wanted: readonly Wanted[], activated: readonly ActivatedSocket[]): Wanted[] {
  const left = new Set(activated);
  const expanded = wanted.flatMap((one): Wanted[] => {
    const { protocol, address } = one;
    if (address.kind !== 'systemd') return [one];
    const { name } = address;
    const matching = [...left].filter((socket) => name === undefined || socket.name === name);
    if (matching.length === 0) {
      const known = activated.map((socket) => socket.name).join(', ');
      throw usageError(`--${protocol} ${showAddress(address)}: systemd passed no ${activated.length === 0 ? 'sockets' : `such socket; there are: ${known}`}`);
    }
    for (const socket of matching) left.delete(socket);
    return matching.map(({ fd }) => ({ protocol, address: { kind: 'fd', fd } }));
  });
  const unused = [...left].filter(({ fd }) => !expanded.some(({ address }) => address.kind === 'fd' && address.fd === fd));
  if (unused.length > 0) throw usageError(`systemd passed sockets that no --http or --fastcgi takes: ${unused.map(({ name }) => name).join(', ')}`);
  return expanded;
}

async function numericHosts(host: string): Promise<string[]> {
  // "::" takes IPv4 connections, too; it is not there where IPv6 is switched off.
  if (host === '') return ['::', '0.0.0.0'];
  if (net.isIP(host) !== 0) return [host];
  try {
    const found = await lookup(host, { all: true });
    return [...found].sort((a, b) => a.family - b.family).map(({ address }) => address);
  } catch {
    throw new CliError('NWSGI4305', `the name ${host} has no address`);
  }
}

/** Removes a socket that nobody listens on. @throws CliError for one that is in use, and for other files. */
async function removeStale(path: string): Promise<void> {
  let found: Stats;
  try {
    found = lstatSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new CliError('NWSGI4305', `unix:${path} cannot be used (${(error as NodeJS.ErrnoException).code ?? ''})`);
  }
  if (!found.isSocket()) throw new CliError('NWSGI4305', `unix:${path} cannot be used: a file that is no socket is there, and it is not removed`);
  const probed = await probe(path);
  if (probed === 'ECONNREFUSED') {
    unlinkSync(path);
    return;
  }
  const who = probed === undefined ? 'another process listens on it' : `somebody else's socket is there (${probed})`;
  throw new CliError('NWSGI4305', `unix:${path} is in use: ${who}. Stop that server, or use another path`);
}

/** Why nobody could be reached, or undefined when somebody was. */
function probe(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.on('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

function cannotListen(where: string, result: number): CliError {
  const name = errorName(result);
  const reasons: Record<string, string> = {
    EADDRINUSE: 'another process listens there. Stop it, or use another address',
    EACCES: where.startsWith('unix:') ? 'this user may not write into that folder' : 'only root may use ports below 1024. Use a higher one, or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit',
    EADDRNOTAVAIL: 'this machine does not have that address',
    ENOENT: 'the folder of the socket does not exist',
    ENAMETOOLONG: 'the path is too long',
  };
  return new CliError('NWSGI4305', `${where} cannot be listened on: ${reasons[name] ?? name}`);
}
