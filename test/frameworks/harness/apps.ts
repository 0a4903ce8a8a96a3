/** The applications below test/frameworks/apps, and how their users start them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { projectRoot } from '../../integration/harness/index.js';

/** Where scripts/lib/frameworks.mjs has put the applications with their packages. */
export const prepared = process.env.NWSGI_TEST_FRAMEWORKS ?? join(projectRoot, '.cache', 'frameworks');

const shared = join(prepared, 'shared');

export interface App {
  name: string;
  /** The file that `node` or WSGIScriptAlias is given. */
  script: string;
  /** The file for plain `node` when it is another one: a runtime's adapter that Apache's users do not need. */
  nodeScript?: string;
  /** Arguments of `node` before the script. */
  nodeArguments?: readonly string[];
  /** Folder that Apache's children may serve. */
  folder: string;
  /** Lowest version of Node that it runs on. */
  node?: number;
  /** In Apache it runs on older ones too: the environments there have what those lack. */
  completed?: boolean;
  /** It can be mounted below a prefix: true. False for sites that are built for one path. */
  mountable?: boolean;
  /** What it has to be told in its environment about the path where it is mounted. */
  mountSettings?: (mount: string) => Record<string, string>;
}

type Details = Omit<App, 'name' | 'script' | 'folder'>;

/** An application that uses the packages of test/frameworks/package.json. */
const sharing = (name: string, script: string, details: Details = {}): App => ({
  name: `${name}/${script}`,
  script: join(shared, 'apps', name, script),
  folder: shared,
  ...details,
});

/** An application that is a project of its own. */
const project = (name: string, script: string, details: Details = {}): App => ({
  name: `${name}/${script}`,
  script: join(prepared, name, script),
  folder: join(prepared, name),
  ...details,
});

/** TypeScript needs a loader before Node 22.18; it is what an application's users have as a devDependency. */
const typescript: Details = { nodeArguments: ['--import', join(shared, 'node_modules', 'tsx', 'dist', 'loader.mjs')] };

export const apps = {
  express4: project('express4', 'server.js'),
  express5: sharing('express5', 'server.mjs'),
  expressGenerator: sharing('generated', 'bin/www'),
  // For hosts that want the application itself and listen on their own.
  expressExported: sharing('generated', 'app.js', { nodeScript: join(shared, 'apps', 'generated', 'bin', 'www') }),
  expressTypeScript: sharing('express-ts', 'server.ts', typescript),
  honoTypeScript: sharing('hono-ts', 'index.ts', { ...typescript, nodeScript: join(shared, 'apps', 'hono-ts', 'server.ts') }),
  fastifyTypeScript: sharing('fastify-ts', 'server.mts', typescript),
  koa: sharing('koa', 'server.js'),
  fastify: sharing('fastify', 'server.mjs'),
  nest: project('nest', 'dist/main.js'),
  hono: sharing('hono', 'app.mjs', { nodeScript: join(shared, 'apps', 'hono', 'server.mjs') }),
  honoServer: sharing('hono', 'server.mjs'),
  next: project('next', '.next/standalone/server.js', { mountable: false }),
  nextCustom: project('next', 'custom-server.js', { mountable: false, node: 20 }),
  sveltekit: project('sveltekit', 'build/index.js', { mountable: false }),
  sveltekitShop: project('sveltekit', 'build-shop/index.js', { mountable: false }),
  socketio: sharing('socketio', 'server.js'),
  ws: sharing('ws', 'server.js'),
  wsBroadcast: sharing('ws', 'broadcast.mjs'),
  // Compares its endpoint with the whole path, also when Express mounts it.
  graphql: sharing('graphql', 'server.mjs', { mountSettings: (mount) => ({ GRAPHQL_ENDPOINT: `${mount}/graphql` }) }),
  // Uses Headers.getSetCookie, which Debian's Node 18 does not have.
  trpc: sharing('trpc', 'server.ts', { ...typescript, node: 20, completed: true }),
  opentelemetry: project('opentelemetry', 'server.js'),
  trpc10: project('trpc10', 'server.js'),
} satisfies Record<string, App>;

/** A package that the applications' browsers or clients use, loaded from where the applications have theirs. */
export function clientPackage<T>(name: string): T {
  return createRequire(join(shared, 'package.json'))(name) as T;
}

/** Like {@link clientPackage}, for packages that are ES modules. */
export async function importClientPackage<T>(name: string): Promise<T> {
  return (await import(createRequire(join(shared, 'package.json')).resolve(name))) as T;
}

/** Version of an installed package. */
export function versionOf(app: App, name: string): string {
  const file = join(app.folder, 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
