// Bodies of some sizes, down and up: a WSGI callable.
import { open } from 'node:fs/promises';

const sizes = { '/10k': Buffer.alloc(10 * 1024, 'x'), '/1m': Buffer.alloc(1024 * 1024, 'x') };
const chunk = Buffer.alloc(64 * 1024, 'x');
const gibibyte = new URL('../gibibyte', import.meta.url);

function* stream() {
  for (let index = 0; index < 16384; index += 1) yield chunk;
}

async function upload(environ, startResponse) {
  let length = 0;
  for await (const part of environ['wsgi.input'].chunks()) length += part.length;
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return [`${length}\n`];
}

async function file(environ, startResponse) {
  const handle = await open(gibibyte);
  startResponse('200 OK', [['Content-Type', 'application/octet-stream']]);
  return environ['wsgi.file_wrapper'](handle);
}

export function application(environ, startResponse) {
  const path = environ.PATH_INFO;
  if (path === '/upload') return upload(environ, startResponse);
  if (path === '/file') return file(environ, startResponse);
  const body = path === '/stream' ? stream() : [sizes[path] ?? 'Hello world\n'];
  const length = path === '/stream' ? 2 ** 30 : body[0].length;
  startResponse('200 OK', [
    ['Content-Type', 'application/octet-stream'],
    ['Content-Length', String(length)],
  ]);
  return body;
}
