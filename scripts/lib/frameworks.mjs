// The applications of test/frameworks, ready to run: what is in test/frameworks/apps is copied to .cache/frameworks,
// with its packages installed and, where it has a build, built. Nothing is written into the source folder.
//
// An application with a package.json of its own is a project of its own, as at its users'; the others share the packages
// of test/frameworks/package.json.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { installPackages } from './debian.mjs';
import { cache, root } from './paths.mjs';
import { canRead } from './server-root.mjs';
import { clearStamp, digest, filesBelow, isFresh, setStamp } from './stamps.mjs';
import { capture, run, step, UserError } from './steps.mjs';

const sources = join(root, 'test', 'frameworks');
const applications = join(sources, 'apps');
const prepared = join(cache, 'frameworks');
const shared = join(prepared, 'shared');

/** Folder of the Python applications. They use Debian's packages and are copied from there by the tests. */
const python = join(applications, 'python');
const interpreter = '/usr/bin/python3';
const quickPackages = ['python3', 'python3-flask', 'python3-django', 'libjs-jquery'];  // the last one: Django's admin
/** For what applications import that is written in C. */
const extensions = ['python3-numpy', 'python3-lxml', 'python3-pil', 'python3-cryptography'];
const pythonPackages = [...quickPackages, 'libapache2-mod-wsgi-py3', 'python3-httpbin', 'python3-bottle', 'radicale', 'mercurial', ...extensions];

/** What an installation makes of a project; the rest of its folder is a copy of the sources. */
const produced = new Set(['node_modules', '.next', 'dist', 'build', 'build-shop', '.svelte-kit']);

const isOwnProject = (name) => existsSync(join(applications, name, 'package.json'));

/**
 * Installs and builds what the framework tests run.
 * @param {{libnode: {library: string, include: string, version: string}, quick?: boolean}} options `quick`: only the
 *   applications that share packages
 * @returns {Promise<Record<string, string>>} the environment that tells the tests about it
 */
export async function provideFrameworks({ libnode, quick = false }) {
  await step('packages of the framework tests', provideShared);
  let node;
  await step('node of the embedded version', async () => {
    const made = await provideNode(libnode);
    node = made.node;
    return made.said;
  });
  await step('Python packages of the framework tests', async (note) => {
    const installed = await installPackages(quick ? quickPackages : pythonPackages, note);
    return installed.length > 0 ? `installed ${installed.join(' ')}` : null;
  });
  await step('application django', provideDjango);
  const own = quick ? [] : readdirSync(applications).filter(isOwnProject);
  for (const name of own) await step(`application ${name}`, () => provideProject(name));
  return { NWSGI_TEST_FRAMEWORKS: prepared, NWSGI_TEST_NODE: node };
}

/** A copy for Apache's children when they cannot read this checkout; hard links where that is possible. */
export function readableFrameworks(environment, folder) {
  if (environment.NWSGI_TEST_FRAMEWORKS === undefined || canRead(join(shared, 'package.json'))) return environment;
  const copy = join(folder, 'frameworks');
  if (capture('cp', ['-al', prepared, copy]).status !== 0) {
    rmSync(copy, { recursive: true, force: true });
    capture('cp', ['-a', prepared, copy]);
  }
  return { ...environment, NWSGI_TEST_FRAMEWORKS: copy };
}

async function provideShared() {
  copySources(sources, shared, (name) => ['package.json', 'package-lock.json', '.npmrc'].includes(name));
  for (const name of readdirSync(applications)) {
    if (!isOwnProject(name) && name !== 'python') copySources(join(applications, name), join(shared, 'apps', name));
  }
  return installAndBuild('shared', sources, ['package.json', 'package-lock.json'].map((name) => join(sources, name)));
}

async function provideProject(name) {
  const source = join(applications, name);
  copySources(source, join(prepared, name));
  return installAndBuild(name, source, filesBelow(source, /./));
}

/** The Django site with its database, an administrator ("admin", "lovelace"), and the static files of its admin site. */
async function provideDjango() {
  const source = join(python, 'django');
  const folder = join(prepared, 'django');
  const { stdout: version } = capture(interpreter, ['-B', '-c', 'import django; print(django.get_version())']);
  const key = digest(filesBelow(source, /./), version);
  if (isFresh('frameworks-django', key, [join(folder, 'data', 'db.sqlite3')])) return null;
  clearStamp('frameworks-django');
  rmSync(folder, { recursive: true, force: true });
  cpSync(source, folder, { recursive: true });
  mkdirSync(join(folder, 'data'), { recursive: true });
  const env = { DJANGO_SUPERUSER_PASSWORD: 'lovelace', LANG: 'C.UTF-8' };
  const administrator = ['createsuperuser', '--noinput', '--username', 'admin', '--email', 'admin@example.org'];
  for (const [index, command] of [['migrate', '--verbosity', '0'], administrator, ['collectstatic', '--noinput', '--verbosity', '0']].entries()) {
    await run('frameworks-django', interpreter, ['-B', 'manage.py', ...command], { cwd: folder, env, append: index > 0 });
  }
  setStamp('frameworks-django', key);
  return `prepared for Django ${version.trim()}`;
}

async function installAndBuild(name, source, inputs) {
  const folder = join(prepared, name);
  const key = digest(inputs, process.version);
  const stamp = `frameworks-${name}`;
  if (isFresh(stamp, key, [join(folder, 'node_modules')])) return null;
  clearStamp(stamp);
  // Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms.
  await run(`frameworks-${name}`, 'npm', ['install', '--no-save', '--loglevel=error'], { cwd: folder });
  const { scripts } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  if (scripts?.build) {
    await run(`frameworks-${name}-build`, 'npm', ['run', 'build'], { cwd: folder, env: { NEXT_TELEMETRY_DISABLED: '1' } });
  }
  setStamp(stamp, key);
  return scripts?.build ? 'installed and built' : 'installed';
}

/** Makes `target` a copy of `source`, except for what an installation produces there. */
function copySources(source, target, wanted = (name) => !produced.has(name)) {
  mkdirSync(target, { recursive: true });
  const names = readdirSync(source).filter(wanted);
  for (const name of readdirSync(target)) {
    const kept = produced.has(name) || name === 'apps' || name === 'package-lock.json';
    if (!kept && !names.includes(name)) rmSync(join(target, name), { recursive: true });
  }
  for (const name of names) cpSync(join(source, name), join(target, name), { recursive: true, preserveTimestamps: true });
}

/**
 * A `node` that is the embedded libnode itself: the applications' behaviour under it is what the tests expect of Apache.
 */
async function provideNode(libnode) {
  const node = join(prepared, 'node');
  const source = join(root, 'test', 'frameworks', 'harness', 'node-main.cc');
  const key = digest([source], libnode.library, libnode.version);
  if (isFresh('frameworks-node', key, [node])) return { node, said: null };
  clearStamp('frameworks-node');
  const folder = libnode.library.slice(0, libnode.library.lastIndexOf('/'));
  await run('frameworks-node', 'g++', ['-std=c++20', `-I${libnode.include}`, source, libnode.library, `-Wl,-rpath,${folder}`, '-o', node]);
  const { stdout, stderr } = capture(node, ['--version']);
  if (!stdout.startsWith('v')) throw new UserError(`${node} does not run: ${stderr}`);
  setStamp('frameworks-node', key);
  return { node, said: stdout.trim() };
}
