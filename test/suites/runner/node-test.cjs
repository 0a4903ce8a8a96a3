'use strict';
// Fastify's tests are written for the node:test of Node 20: its `t.assert` and `t.plan` are added where they are missing.
const assert = require('node:assert');
const { Module } = require('node:module');
const { setTimeout: sleep } = require('node:timers/promises');

exports.complete = function complete(skipped) {
  const original = require('node:test');
  const replacement = withNames(original, new Set(skipped));
  const load = Module._load;
  Module._load = (request, ...rest) => (request === 'node:test' ? replacement : load(request, ...rest));
};

/** `test`, `it` and `test.test`, each with a context that has what is missing. */
function withNames(original, skipped) {
  const test = wrap(original.test, skipped);
  return Object.assign(test, { ...original, test, it: wrap(original.it, skipped), default: test });
}

function wrap(run, skipped) {
  const wrapped = (...args) => {
    if (skipped?.has(args[0])) return run.skip(args[0]);
    return run(...args.map((arg) => (typeof arg === 'function' ? withContext(arg) : arg)));
  };
  for (const name of ['skip', 'todo', 'only']) if (run[name]) wrapped[name] = run[name];
  return wrapped;
}

function withContext(body) {
  // node:test looks at the number of parameters to know whether there is a callback.
  if (body.length > 1) {
    return (t, done) => {
      const planKept = extend(t);
      return body(t, (error) => (error ? done(error) : void planKept().then(() => done(), done)));
    };
  }
  return async (t) => {
    const planKept = extend(t);
    await body(t);
    await planKept();
  };
}

/** Adds `assert` and `plan`. Returns what waits, at the end, until the plan is kept. */
function extend(t) {
  if ('plan' in t) return async () => {};
  let [planned, count] = [undefined, 0];
  const asserts = {};
  for (const [name, method] of Object.entries(assert)) {
    if (typeof method !== 'function' || /^[A-Z]/.test(name)) continue;
    asserts[name] = (...args) => {
      count += 1;
      return method(...args);
    };
  }
  const subtest = t.test;
  const members = {
    assert: asserts,
    plan: (number) => {
      planned = number;
    },
    test: (...args) => {
      count += 1;
      return wrap(subtest.bind(t))(...args);
    },
  };
  for (const [name, value] of Object.entries(members)) Object.defineProperty(t, name, { value });
  return async () => {
    for (let waited = 0; planned !== undefined && count < planned && waited < 2000; waited += 20) await sleep(20);
    if (planned !== undefined && count !== planned) throw new Error(`${planned} assertions were planned, ${count} were made`);
  };
}
