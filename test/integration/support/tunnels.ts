/** Clients of connections that changed their protocol. */
import { createHash, randomBytes } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpdServer, Http2Client } from '../harness/index.js';

/** Upgrades a connection of HTTP/1.1; rejects with the response when there is no 101. */
export function upgrade(server: HttpdServer, path: string, { host = 0, headers = {} }: { host?: number; headers?: Record<string, string> } = {}): Promise<{ socket: Socket; response: IncomingMessage }> {
  return new Promise((resolve, reject) => {
    const url = server.url(path, host);
    const request = (url.startsWith('https') ? https : http).request(url, {
      headers: { Connection: 'Upgrade', Upgrade: 'bytes', ...headers },
      agent: false,
      ...(url.startsWith('https') ? { rejectUnauthorized: false } : {}),
    });
    request.on('upgrade', (response, socket, head) => {
      // Node closes our side with the server's by itself otherwise.
      socket.allowHalfOpen = true;
      if (head.length > 0) socket.unshift(head);
      resolve({ socket: socket as Socket, response });
    });
    request.on('response', (response) => {
      response.resume();
      reject(Object.assign(new Error(`${response.statusCode} instead of 101`), { response }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** Opens a WebSocket's stream by an extended CONNECT (RFC 8441). */
export async function connectStream(client: Http2Client, path: string): Promise<ClientHttp2Stream> {
  if (!client.session.remoteSettings?.enableConnectProtocol) {
    await new Promise<void>((resolve) => {
      client.session.once('remoteSettings', () => resolve());
    });
  }
  const stream = client.stream(path, { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', 'sec-websocket-version': '13' });
  return new Promise((resolve, reject) => {
    stream.once('error', reject);
    stream.once('response', (headers) => {
      if (headers[':status'] === 200) resolve(stream);
      else reject(new Error(`${headers[':status']} instead of 200`));
    });
  });
}

/** Sends `size` random bytes while it reads what comes back; true when both were the same and both sides ended. */
export function echoes(tunnel: Duplex, size: number): Promise<boolean> {
  const sent = createHash('sha1');
  const received = createHash('sha1');
  let left = size;
  const more = () => {
    while (left > 0) {
      const block = randomBytes(Math.min(left, 64 * 1024));
      left -= block.length;
      sent.update(block);
      if (!tunnel.write(block) && left > 0) return;
    }
    tunnel.end();
  };
  return new Promise((resolve, reject) => {
    tunnel.on('drain', () => left > 0 && more());
    tunnel.on('data', (block: Buffer) => received.update(block));
    tunnel.on('end', () => resolve(sent.digest('hex') === received.digest('hex')));
    tunnel.on('error', reject);
    more();
  });
}

/** All bytes until the other side closes. */
export function readAll(tunnel: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    const blocks: Buffer[] = [];
    tunnel.on('data', (block: Buffer) => blocks.push(block));
    tunnel.on('end', () => resolve(Buffer.concat(blocks).toString()));
    tunnel.on('error', reject);
  });
}

/** The other side has closed or reset. */
export const closed = (tunnel: Duplex): Promise<void> =>
  new Promise((resolve) => {
    tunnel.on('end', () => resolve());
    tunnel.on('close', () => resolve());
  });
