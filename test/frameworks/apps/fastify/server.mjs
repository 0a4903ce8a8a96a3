import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';
import cookie from '@fastify/cookie';
import multipart from '@fastify/multipart';
import staticFiles from '@fastify/static';
import websocket from '@fastify/websocket';
import items from './plugins/items.mjs';
import sockets from './plugins/sockets.mjs';

const fastify = Fastify({ logger: { level: 'error' }, bodyLimit: 20 * 1024 * 1024 });

await fastify.register(cookie, { secret: 'a secret' });
await fastify.register(multipart, { limits: { fileSize: 16 * 1024 * 1024 } });
await fastify.register(staticFiles, { root: fileURLToPath(new URL('public', import.meta.url)), prefix: '/public/' });
await fastify.register(websocket, { options: { maxPayload: 32 * 1024 * 1024 } });
await fastify.register(items, { prefix: '/items' });
await fastify.register(sockets);

const aborted = [];

fastify.addHook('onRequestAbort', async (request) => {
  aborted.push(request.params.id);
});
fastify.addHook('onSend', async (request, reply) => {
  reply.header('x-hook', 'onSend');
});

fastify.get('/', async () => ({ hello: 'world' }));

fastify.get('/request', async (request) => {
  const { method, url, originalUrl, hostname, host, ip, protocol, headers } = request;
  return { method, url, originalUrl, hostname, host, ip, protocol, headers };
});

fastify.post('/upload', async (request) => {
  const hash = createHash('sha256');
  let size = 0;
  const part = await request.file();
  for await (const chunk of part.file) {
    size += chunk.length;
    hash.update(chunk);
  }
  return { name: part.filename, field: part.fieldname, size, sha256: hash.digest('hex') };
});

fastify.get('/stream', async (request, reply) => {
  async function* lines() {
    for (let i = 0; i < 5; i++) {
      yield `line ${i}\n`;
      await sleep(150);
    }
  }
  reply.type('text/plain');
  return reply.send(Readable.from(lines()));
});

fastify.get('/large', async (request, reply) => {
  const block = Buffer.alloc(64 * 1024, 'x');
  function* blocks() {
    for (let i = 0; i < 256; i++) yield block;
  }
  reply.type('application/octet-stream');
  return reply.send(Readable.from(blocks()));
});

fastify.get('/web', async () => {
  return new Response('a web response', { status: 201, headers: { 'content-type': 'text/plain', 'x-web': 'yes' } });
});

fastify.get('/endless/:id', (request, reply) => {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'text/plain' });
  reply.raw.write('begun\n');
});
fastify.get('/aborted', async () => aborted);

fastify.get('/cookies', async (request, reply) => {
  reply.setCookie('plain', 'value', { path: '/' }).setCookie('signed', 'value', { signed: true, path: '/' });
  const { signed } = request.cookies;
  return { got: request.cookies, valid: signed ? request.unsignCookie(signed).valid : null };
});

fastify.get('/redirect', async (request, reply) => reply.redirect('/items'));
fastify.get('/teapot', async () => {
  throw Object.assign(new Error('short and stout'), { statusCode: 418 });
});
fastify.get('/error', async () => {
  throw new Error('it failed');
});

await fastify.listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' });
