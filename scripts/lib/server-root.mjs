// Private server roots, and a copy of the built tree for a server whose children cannot read this checkout.
//
// Apache started by root answers requests as www-data. A checkout below /root, or one made with a strict umask, is
// not readable for that user; then what the server needs is copied to a place that is.
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './paths.mjs';
import { capture, UserError } from './steps.mjs';

export const serverUser = 'www-data';

/** User and group that Apache's children run as: null when this process is not root. */
export function childIdentity() {
  if (process.getuid() !== 0) return null;
  const uid = Number(capture('id', ['-u', serverUser]).stdout);
  const gid = Number(capture('id', ['-g', serverUser]).stdout);
  if (!uid || !gid) throw new UserError(`There is no user ${serverUser}, which Apache's children should run as.`);
  return { user: serverUser, uid, gid };
}

/** True when Apache's children can read the file. */
export function canRead(file) {
  const identity = childIdentity();
  if (identity === null) return true;
  return capture('test', ['-r', file], { uid: identity.uid, gid: identity.gid, cwd: '/' }).status === 0;
}

/** A new folder that everybody can read and search, with the usual folders of a server below it. */
export function makeServerRoot(prefix) {
  for (const base of [tmpdir(), '/tmp', '/var/tmp']) {
    const folder = mkdtempSync(join(base, prefix));
    chmodSync(folder, 0o755);
    if (canRead(folder)) {
      for (const name of ['logs', 'run', 'htdocs', 'apps']) {
        mkdirSync(join(folder, name));
        chmodSync(join(folder, name), 0o755);
      }
      return folder;
    }
    rmSync(folder, { recursive: true });
  }
  throw new UserError(`There is no temporary folder that the user ${serverUser} can read.`);
}

/** Files that every server reads; when these are readable the checkout is. */
const probes = ['package.json', 'build/Release/nwsgi_runtime.so', 'dist/index.js', 'apache-conf/example/app.ts'];

/**
 * The folder that holds the built tree for Apache's children: this checkout, or a copy of its built parts below
 * `folder`.
 */
export function runnableTree(folder) {
  if (probes.every((file) => !existsSync(join(root, file)) || canRead(join(root, file)))) return root;
  const copy = join(folder, 'nwsgi');
  const take = (name) => {
    if (!existsSync(join(root, name))) return;
    mkdirSync(dirname(join(copy, name)), { recursive: true });
    cpSync(join(root, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
  };
  for (const name of ['package.json', 'dist', 'apache-conf', '.deps/libnode/usr/lib']) take(name);
  for (const build of readdirSync(root).filter((name) => /^build(-\w+)?$/.test(name))) {
    const output = join(root, build, 'Release');
    for (const file of existsSync(output) ? readdirSync(output) : []) {
      if (/\.(so|node)$/.test(file)) take(join(build, 'Release', file));
    }
  }
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  for (const [name, entry] of Object.entries(lock.packages)) if (name !== '' && !entry.dev) take(name);
  capture('chmod', ['-R', 'a+rX', copy]);
  return copy;
}

/** Runs `work` with a tree that Apache's children can read, and a folder for copies, which is removed afterwards. */
export async function withRunnableTree(work) {
  const folder = makeServerRoot('nwsgi-tree-');
  try {
    return await work(runnableTree(folder), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
