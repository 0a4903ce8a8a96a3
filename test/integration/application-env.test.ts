// process.env of an application: the server's own, SetEnv and PassEnv, WSGIApplicationEnv.
import { expect, it } from 'vitest';
import { processGroup, useServer, waitFor } from './harness/index.js';

const app = 'platform/shows-process-env.mjs';

const server = useServer(
  {
    env: { T_PROCESS: 'of the process', T_PASSED: 'of the process too', T_WINS: 'process' },
    directives: (s) => [
      'SetEnv T_SET "of the server"',
      'PassEnv T_PASSED',
      'SetEnv T_WINS SetEnv',
      'SetEnvIf Request_URI . T_REQUEST=1',
      'WSGIApplicationEnv T_WINS=WSGIApplicationEnv T_A=server T_B=server T_EMPTY=',
      'WSGIApplicationEnv T_SIGNS="=;,\'\\"$ %" T_LETTERS=Žluťoučký T_B="server, second line"',
      ...['plain', 'directory', 'location', 'changed'].map((name) => `WSGIScriptAlias /${name} ${s.app(`${name}/app.mjs`)}`),
      `<Directory "${s.app('directory')}">`,
      'SetEnv T_SET "of the directory"',
      'WSGIApplicationEnv T_A=directory T_NEW=directory',
      '</Directory>',
      '<Location "/location">',
      'UnsetEnv T_SET',
      'WSGIApplicationEnv T_A=location',
      '</Location>',
    ],
    vhosts: [
      {},
      {
        directives: (s) => [
          'WSGIApplicationEnv T_A=host',
          `WSGIScriptAlias /preloaded ${s.app('preloaded/app.mjs')} process-group=${processGroup} application-group=preloaded`,
          `WSGIScriptAlias /host ${s.app('plain/app.mjs')}`,
          'WSGIScriptAliasMatch ^/staging ' + s.app('staging/app.mjs'),
          '<Location "/staging">',
          'WSGIApplicationEnv NODE_ENV=staging',
          '</Location>',
        ],
      },
    ],
  },
  (s) => {
    s.addApp(app);
    for (const name of ['plain', 'directory', 'location', 'changed', 'preloaded', 'staging']) {
      s.writeApp(`${name}/app.mjs`, `export { application } from '../${app}?${name}';\n`);
    }
  },
);

const base = {
  NODE_ENV: 'production',
  T_PROCESS: 'of the process',
  T_PASSED: 'of the process too',
  T_SET: 'of the server',
  T_WINS: 'WSGIApplicationEnv',
  T_A: 'server',
  T_B: 'server, second line',
  T_EMPTY: '',
  T_SIGNS: `=;,'"$ %`,
  T_LETTERS: 'Žluťoučký',
};

const seen = async (path: string, host = 0) => {
  const response = await server.request(path, { host });
  expect(response.status, response.text).toBe(200);
  return response.json();
};

it('holds the variables of the process, of mod_env and of WSGIApplicationEnv, the last winning, and none of single requests', async () => {
  expect(await seen('/plain')).toEqual(base);
});

it('is that of the section in which the application lies', async () => {
  expect(await seen('/directory')).toEqual({ ...base, T_SET: 'of the directory', T_A: 'directory', T_NEW: 'directory' });
  const { T_SET: _, ...rest } = base;
  expect(await seen('/location')).toEqual({ ...rest, T_A: 'location' });
  expect(await seen('/host', 1)).toEqual({ ...base, T_A: 'host' });
});

it('can name another NODE_ENV', async () => {
  expect(await seen('/staging', 1)).toMatchObject({ NODE_ENV: 'staging', T_A: 'host' });
});

it('is that of the virtual host for a script that is loaded at the start', async () => {
  expect(await seen('/preloaded', 1)).toEqual({ ...base, T_A: 'host' });
});

it('is the same after the script was changed', async () => {
  expect(await seen('/changed')).toEqual(base);
  const since = server.mark();
  server.writeApp('changed/app.mjs', `export { application } from '../${app}?again';\n// changed\n`);
  await waitFor('the new version', () => server.log(since).includes('NWSGI3011'));
  expect(await seen('/changed')).toEqual(base);
});
