// Variables in the environ of a JavaScript application.
import { describe, expect, it } from 'vitest';
import { useServer } from './harness/index.js';
import { environVariables } from './support/conformance/environ.js';
import { javascript } from './support/language.js';

environVariables(javascript);

describe('the prototype of the environ', () => {
  const server = useServer({
    apps: ['environ-prototype.mjs'],
    directives: (s) => ['SetEnv __proto__ own', 'SetEnv constructor own', `WSGIScriptAlias / ${s.app('environ-prototype.mjs')}`],
  });

  it('W-04, W-29: is not changed by SetEnv __proto__ and constructor', async () => {
    expect((await server.get('/')).json()).toEqual({
      own: 'own',
      enumerable: true,
      prototypeIsNull: true,
      constructorValue: 'own',
      polluted: null,
    });
  });
});
