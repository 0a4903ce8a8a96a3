/** `process.env` as applications see it: a copy of the server's, with what the configuration adds. */

/** A copy that treats assignments as Node's own does: values become strings, keys are strings. */
export function privateEnvironment(original: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const refuse = (key: string | symbol): void => {
    if (typeof key === 'symbol') throw new TypeError('Cannot convert a Symbol value to a string');
  };
  return new Proxy<NodeJS.ProcessEnv>(
    { ...original },
    {
      set(target, key, value) {
        refuse(key);
        target[key as string] = String(value);
        return true;
      },
      defineProperty(target, key, descriptor) {
        refuse(key);
        if ('get' in descriptor || 'set' in descriptor) throw new TypeError("'process.env' does not accept an accessor (getter/setter) descriptor");
        target[key as string] = String(descriptor.value);
        return true;
      },
    },
  );
}

/**
 * Adds what the configuration says (see Instructions.environment) to `process.env`. NODE_ENV is "production" where nobody
 * says otherwise: frameworks take its absence for the machine of a developer.
 */
export function addToEnvironment(assignments: string): void {
  for (const assignment of assignments.split('\0')) {
    const at = assignment.indexOf('=');
    // The record has bytes; variables are text.
    if (at > 0) process.env[textOf(assignment.slice(0, at))] = textOf(assignment.slice(at + 1));
  }
  process.env.NODE_ENV ??= 'production';
}

function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
