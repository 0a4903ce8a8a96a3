/** Installs the module hooks for TypeScript and for syntax detection, when the first script needs them. */
import { readFileSync } from 'node:fs';
import Module from 'node:module';
import { extname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NwsgiError, Problem } from './errors.js';
import { loadModule, nodeDetectsSyntax, rewriteSpecifier } from './hooks.js';
import { formatOf, NODE_EXTENSIONS, packageType, TYPESCRIPT_EXTENSIONS } from './module-format.js';
import type { ModuleFormat } from './module-format.js';
import { reachesTypeScript } from './module-graph.js';
import { stripTypes } from './typescript.js';

type Next = (specifier: string, context?: object) => unknown;

interface SyncHooks {
  resolve(specifier: string, context: { parentURL?: string }, next: Next): unknown;
  load(url: string, context: object, next: Next): unknown;
}

/** Parts of node:module that the typings of Node 18 do not have. */
interface ModuleInternals {
  registerHooks?(hooks: SyncHooks): unknown;
  register(specifier: string, parent: string): void;
  setSourceMapsSupport?(enabled: boolean, options: { nodeModules: boolean; generatedCode: boolean }): void;
  _extensions: Record<string, (module: CompilableModule, file: string) => void>;
  _resolveFilename(request: string, parent: { filename?: string } | undefined, ...rest: unknown[]): string;
}

interface CompilableModule {
  _compile(code: string, file: string): void;
}

const internals = Module as unknown as ModuleInternals;
/** Also as the name in an import() that is put together at run time. */
const MENTIONS_TYPESCRIPT = /\.[cm]?ts['"`]/;
const HAS_SOURCE_MAP = /^\/\/# sourceMappingURL=/m;

let installed = false;
let sourceMaps = false;

/** Makes Node able to load `script`, whose text is `source`. Costs little for plain JavaScript. */
export function prepareHooks(script: string, source: string, format: ModuleFormat): void {
  const extension = extname(script);
  const typed = MENTIONS_TYPESCRIPT.test(source) || reachesTypeScript(script, source);
  if (typed || HAS_SOURCE_MAP.test(source)) enableSourceMaps();
  const foreign = format === 'module' && !NODE_EXTENSIONS.has(extension);
  const undetected = format === 'module' && extension === '.js' && !nodeDetectsSyntax() && packageType(script) === undefined;
  if ((typed || foreign || undetected) && !installed) {
    installed = true;
    install();
  }
}

function enableSourceMaps(): void {
  if (sourceMaps) return;
  sourceMaps = true;
  if (internals.setSourceMapsSupport !== undefined) internals.setSourceMapsSupport(true, { nodeModules: false, generatedCode: false });
  else process.setSourceMapsEnabled(true);
}

function install(): void {
  if (internals.registerHooks !== undefined) {
    internals.registerHooks({
      resolve: (specifier, context, next) => next(rewriteSpecifier(specifier, context.parentURL), context),
      load: (url, context, next) => {
        const loaded = loadModule(url);
        return loaded === undefined ? next(url, context) : { ...loaded, shortCircuit: true };
      },
    });
    return;
  }
  internals.register('./hooks-thread.js', import.meta.url);
  for (const extension of TYPESCRIPT_EXTENSIONS) internals._extensions[extension] = compileTypeScript;
  const resolveFilename = internals._resolveFilename;
  internals._resolveFilename = (request, parent, ...rest) => {
    const url = parent?.filename === undefined ? undefined : pathToFileURL(parent.filename).href;
    return resolveFilename.call(Module, rewriteSpecifier(request, url), parent, ...rest);
  };
}

function compileTypeScript(module: CompilableModule, file: string): void {
  const source = readFileSync(file, 'utf8');
  if (formatOf(file, source) === 'module') {
    throw new NwsgiError(Problem.scriptFailed, `${file} is an ES module; require() cannot load it, use import()`);
  }
  module._compile(stripTypes(source, file), file);
}
