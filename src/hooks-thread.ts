/** Module hooks for `module.register()`: Node runs them in a thread of their own. */
import { loadModule, rewriteSpecifier } from './hooks.js';

type Next<Context, Result> = (specifier: string, context?: Context) => Promise<Result>;

export function resolve<Context extends { parentURL?: string }, Result>(
  specifier: string,
  context: Context,
  next: Next<Context, Result>,
): Promise<Result> {
  return next(rewriteSpecifier(specifier, context.parentURL), context);
}

export async function load<Context>(url: string, context: Context, next: Next<Context, unknown>): Promise<unknown> {
  const loaded = loadModule(url);
  if (loaded === undefined) return next(url, context);
  // Without a source Node loads CommonJS by Module._extensions, which knows TypeScript too (see hooks-install.ts).
  return { format: loaded.format, source: loaded.format === 'commonjs' ? null : loaded.source, shortCircuit: true };
}
