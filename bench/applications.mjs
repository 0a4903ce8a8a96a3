// The applications: for each kind of server the file below bench/apps, and the answer that is checked before it is measured.
// `wsgi`: for nwsgi (WSGI callables, and Node applications as they are); `node`: a server of node:http; `python`: a WSGI callable.
const hello = { path: '/', body: 'Hello world\n' };

/** `npm`: needs the packages of test/frameworks; `packages`: those of Debian. */
export const applications = {
  hello: { name: 'hello', title: 'Hello world (WSGI callable; node:http elsewhere)', short: 'hello', wsgi: 'hello.mjs', node: 'plain.mjs', yardsticks: true, check: hello },
  http: { name: 'http', title: 'node:http', short: 'node:http', wsgi: 'plain.mjs', node: 'plain.mjs', check: hello },
  express: { name: 'express', title: 'Express', short: 'Express', wsgi: 'express.cjs', node: 'express.cjs', npm: true, check: hello },
  fastify: { name: 'fastify', title: 'Fastify', short: 'Fastify', wsgi: 'fastify.mjs', node: 'fastify.mjs', npm: true, check: hello },
  hono: { name: 'hono', title: 'Hono', short: 'Hono', wsgi: 'hono.mjs', node: 'hono-server.mjs', npm: true, check: hello },
  python: { name: 'python', title: 'Python hello world (WSGI callable)', short: 'Python hello', python: 'python/hello.wsgi', check: hello },
  flask: { name: 'flask', title: 'Flask', short: 'Flask', python: 'python/flask.wsgi', packages: ['python3-flask'], check: hello },
  django: { name: 'django', title: 'Django', short: 'Django', python: 'python/django.wsgi', packages: ['python3-django'], check: hello },
  bodies: { name: 'bodies', title: 'bodies', wsgi: 'bodies.mjs', node: 'bodies-http.mjs', python: 'python/bodies.wsgi', yardsticks: true, check: hello },
};
