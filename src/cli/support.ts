/** The functions of nwsgi_bridge.node that only commands use; see native/bridge/serve_support.h. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getSystemErrorName } from 'node:util';
import { CliError } from './failure.js';

export interface SocketDescription {
  readonly family: 'unix' | 'ipv4' | 'ipv6' | 'other';
  readonly address: string;
  readonly port: number;
  readonly stream: boolean;
  readonly listening: boolean;
}

/** A negative number is an errno. */
export interface Support {
  openUnixListener(path: string, mode: number, backlog: number): number;
  openTcpListener(address: string, port: number, backlog: number): number;
  describeSocket(fd: number): SocketDescription | number;
  setSocketBuffers(fd: number, send: number, receive: number): number;
  sendDatagram(address: string, text: string): number;
  duplicate(fd: number): number;
  redirectOutput(file: string): number;
  becomeUser(uid: number, gid: number, groups: readonly number[]): number;
  /** Returns only when it has failed. */
  replaceProcess(file: string, argv: readonly string[], environment: readonly string[], kept: number): number;
}

/** dist/, whose parent is the folder of the package. */
export const gatewayDirectory = dirname(dirname(fileURLToPath(import.meta.url)));

/** Path of the add-on. @throws CliError when it was not built. */
export function bridgePath(): string {
  const output = process.env['NWSGI_BRIDGE_FOLDER'] ?? join(dirname(gatewayDirectory), 'build', 'Release');
  const path = join(output, 'nwsgi_bridge.node');
  if (!existsSync(path)) throw new CliError('NWSGI4302', `the native part is missing (${path}). Build it: npm run build`);
  return path;
}

export function loadSupport(): Support {
  const path = bridgePath();
  try {
    return createRequire(import.meta.url)(path) as Support;
  } catch (error) {
    throw new CliError('NWSGI4302', `the native part cannot be loaded: ${(error as Error).message}. Build it for this machine: npm run build`);
  }
}

/** ENOENT for -2. */
export const errorName = (result: number): string => getSystemErrorName(result);
