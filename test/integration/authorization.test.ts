// Which applications see the Authorization header, with and without authentication by httpd.
import { expect, it } from 'vitest';
import { useServer } from './harness/index.js';

const others = { node: 'platform/shows-authorization.cjs', fetch: 'platform/fetches-authorization.mjs' };

const server = useServer(
  {
    modules: ['auth_basic', 'authn_core', 'authn_file', 'authz_user'],
    apps: ['show-environ.mjs', ...Object.values(others)],
    directives: (s) => [
      ...['default', 'on', 'off'].flatMap((name) => [
        `WSGIScriptAlias /${name} ${s.app('show-environ.mjs')}`,
        `WSGIScriptAlias /closed-${name} ${s.app('show-environ.mjs')}`,
        ...Object.entries(others).flatMap(([type, app]) => [
          `WSGIScriptAlias /${name}-${type} ${s.app(app)} application-type=${type}`,
          `WSGIScriptAlias /closed-${name}-${type} ${s.app(app)}`,
        ]),
      ]),
      '<LocationMatch "^/(closed-)?on\\b">',
      'WSGIPassAuthorization On',
      '</LocationMatch>',
      '<LocationMatch "^/(closed-)?off\\b">',
      'WSGIPassAuthorization Off',
      '</LocationMatch>',
      '<LocationMatch "^/closed-">',
      'AuthType Basic',
      'AuthName "closed"',
      `AuthUserFile "${s.root}/users"`,
      'Require valid-user',
      '</LocationMatch>',
    ],
  },
  (s) => {
    s.writeFile('users', 'ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n');
  },
);

const credentials = `Basic ${Buffer.from('ann:password').toString('base64')}`;

async function seen(path: string): Promise<[authorization: unknown, proxy: unknown, user: unknown]> {
  const response = await server.get(path, { Authorization: credentials, 'Proxy-Authorization': 'Bearer x' });
  expect(response.status, response.text).toBe(200);
  const environ = response.json() as Record<string, unknown>;
  return [environ.HTTP_AUTHORIZATION, environ.HTTP_PROXY_AUTHORIZATION, environ.REMOTE_USER];
}

it('a WSGI application sees it only where WSGIPassAuthorization is on', async () => {
  expect(await seen('/default')).toEqual([undefined, undefined, undefined]);
  expect(await seen('/off')).toEqual([undefined, undefined, undefined]);
  expect(await seen('/on')).toEqual([credentials, 'Bearer x', undefined]);
});

it('where httpd has authenticated the user, a WSGI application is told who it is, and sees the header only where it is passed on', async () => {
  expect(await seen('/closed-default')).toEqual([undefined, undefined, 'ann']);
  expect(await seen('/closed-off')).toEqual([undefined, undefined, 'ann']);
  expect(await seen('/closed-on')).toEqual([credentials, 'Bearer x', 'ann']);
});

it.each(Object.keys(others))('a %s application sees it unless it is off, or httpd has authenticated the user', async (type) => {
  const credentialsAt = async (place: string) => {
    const response = await server.get(`/${place}-${type}`, { Authorization: credentials, 'Proxy-Authorization': 'Bearer x' });
    expect(response.status, response.text).toBe(200);
    return response.json();
  };
  const [all, none] = [[credentials, 'Bearer x'], [null, null]];
  expect(await credentialsAt('default')).toEqual(all);
  expect(await credentialsAt('on')).toEqual(all);
  expect(await credentialsAt('off')).toEqual(none);
  expect(await credentialsAt('closed-default')).toEqual(none);
  expect(await credentialsAt('closed-off')).toEqual(none);
  expect(await credentialsAt('closed-on')).toEqual(all);
});
