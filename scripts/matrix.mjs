// npm run test:matrix [-- SUITE…]: builds and smoke-tests the same sources in other releases of Debian, and so
// against other versions of libnode and httpd. Each release is a root file system made by debootstrap, which is kept
// in .cache/rootfs (or in the folder that NWSGI_ROOTFS_CACHE names); delete it there to start afresh.
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { installPackages } from './lib/debian.mjs';
import { cache, logs, root } from './lib/paths.mjs';
import { bold, capture, green, main, red, run, step, UserError } from './lib/steps.mjs';

const releases = ['trixie', 'forky'];
const mirror = process.env.NWSGI_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
const rootfsCache = process.env.NWSGI_ROOTFS_CACHE ?? join(cache, 'rootfs');

/** What the release itself must have; everything else is installed by the project's own set-up inside it. */
const bootstrapPackages = ['nodejs', 'npm', 'ca-certificates'];

/** Tests that run in each release, beyond the C++ unit tests. */
const smoke = [
  ...['harness', 'smoke', 'websocket', 'node-http', 'node-http2', 'node-kinds', 'node-platform', 'fetch-requests', 'fetch-responses'].map((name) => `test/integration/${name}.test.ts`),
  ...['hello', 'loading', 'interpreters', 'mod-wsgi-module', 'mod-wsgi-configuration', 'signals-processes', 'input', 'calling', 'start-response', 'logging', 'timeouts'].map((name) => `test/integration/python/${name}.test.ts`),
  'test/frameworks/quick',
];

async function testRelease(release) {
  console.log(bold(release));
  const folder = join(rootfsCache, release);
  const row = { release, httpd: '?', node: '?', host: '?', passed: 0, failed: 0, note: '' };
  const start = performance.now();
  try {
    await step('root file system', () => provideRootfs(release, folder));
    await step('Node.js and npm', () => provideNode(release, folder));
    await step('copy of the sources', () => copySources(folder));
    await step('build and tests', async () => {
      const status = await enter(folder, `${release}-test`, ['node', 'scripts/test.mjs', 'layers', 'native', 'integration', 'quick', ...smoke], {
        cwd: '/nwsgi',
        mayFail: true,
      });
      const log = readFileSync(join(logs, `${release}-test.log`), 'utf8');
      const counts = [...log.matchAll(/^(\d+) passed, (\d+) failed/gm)].pop();
      if (!counts) throw new UserError(`the tests did not run; .cache/log/${release}-test.log ends with:\n${log.slice(-3000)}`);
      row.passed = Number(counts[1]);
      row.failed = Number(counts[2]);
      row.node = /libnode: Node (\S+)/.exec(log)?.[1] ?? '?';
      if (status !== 0) row.note = `see .cache/log/${release}-test.log`;
      return `${row.passed} passed, ${row.failed} failed`;
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    row.failed += 1;
    row.note = 'could not be tested';
    console.error(error.message);
  }
  row.httpd = await version(folder, ['apache2', '-v'], /Apache\/(\S+)/);
  row.host = await version(folder, ['node', '--version'], /v(\S+)/);
  row.seconds = Math.round((performance.now() - start) / 1000);
  return row;
}

async function provideRootfs(release, folder) {
  if (existsSync(folder)) return null;
  mkdirSync(rootfsCache, { recursive: true });
  const work = `${folder}.new`;
  rmSync(work, { recursive: true, force: true });
  // A release that this debootstrap does not know yet is made as unstable is.
  const known = existsSync(`/usr/share/debootstrap/scripts/${release}`);
  const script = known ? [] : ['/usr/share/debootstrap/scripts/sid'];
  await run(`${release}-debootstrap`, 'debootstrap', ['--variant=minbase', release, work, mirror, ...script]);
  renameSync(work, folder);
  return 'made';
}

async function provideNode(release, folder) {
  for (const file of ['/etc/resolv.conf', '/etc/hosts']) copyFileSync(file, join(folder, file));
  // A testing release's lists count as expired when the mirror was not updated for a week; that does not matter here.
  writeFileSync(join(folder, 'etc/apt/apt.conf.d/90nwsgi'), 'Acquire::Check-Valid-Until "false";\n');
  const missing = bootstrapPackages.filter((name) => !existsSync(join(folder, 'var/lib/dpkg/info', `${name}.list`)));
  if (missing.length > 0) {
    const script =
      'apt-get update && apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 ' + missing.join(' ') + ' && apt-get clean';
    await enter(folder, `${release}-apt`, ['sh', '-c', script]);
  }
  // Certificate authorities that this machine trusts are trusted inside too.
  const authorities = '/etc/ssl/certs/ca-certificates.crt';
  if (existsSync(authorities)) copyFileSync(authorities, join(folder, authorities));
  return missing.length > 0 ? 'installed' : null;
}

/** Tracked and new files, not what is ignored: what a clean clone would have, plus changes. */
function copySources(folder) {
  const target = join(folder, 'nwsgi');
  const listed = capture('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  if (listed.status !== 0) throw new UserError(`git ls-files failed: ${listed.stderr}`);
  const files = new Set(listed.stdout.split('\0').filter((name) => name !== '' && existsSync(join(root, name))));
  // What was removed here must not be built there; built files stay, so that only changes are built again.
  const kept = new Set(['build', 'dist', 'node_modules', '.cache', '.deps']);
  for (const name of capture('find', [target, '-type', 'f', '-printf', '%P\\0']).stdout.split('\0')) {
    if (name !== '' && !kept.has(name.split('/')[0]) && !files.has(name)) rmSync(join(target, name));
  }
  for (const name of files) {
    mkdirSync(dirname(join(target, name)), { recursive: true });
    cpSync(join(root, name), join(target, name), { preserveTimestamps: true });
  }
  return `${files.size} files`;
}

/** Runs a command in the root file system; mounts and processes end with it, because they have their own namespaces. */
function enter(folder, log, command, { cwd = '/', mayFail = false } = {}) {
  return run(log, 'unshare', namespaces(folder, cwd, command), { env: environment(), mayFail });
}

function namespaces(folder, cwd, command) {
  const script = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" sh -c \'cd "$0" && exec "$@"\' "$@"';
  return ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script, folder, cwd, ...command];
}

function environment() {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LC_ALL: 'C.UTF-8',
    DEBIAN_FRONTEND: 'noninteractive',
    npm_config_registry: capture('npm', ['config', 'get', 'registry']).stdout.trim(),
  };
}

async function version(folder, command, pattern) {
  const { stdout } = capture('chroot', [folder, ...command], { env: { ...process.env, ...environment() } });
  return pattern.exec(stdout)?.[1] ?? '?';
}

function print(rows) {
  const table = [
    ['suite', 'httpd', 'embedded Node', 'build Node', 'passed', 'failed', 'time', ''],
    ...rows.map((row) => [row.release, row.httpd, row.node, row.host, `${row.passed}`, `${row.failed}`, `${row.seconds} s`, row.note]),
  ];
  const widths = table[0].map((_, column) => Math.max(...table.map((line) => line[column].length)));
  console.log('');
  table.forEach((line, index) => {
    const text = line.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd();
    if (index === 0) console.log(bold(text));
    else console.log(rows[index - 1].failed === 0 ? green(text) : red(text));
  });
}

await main(async () => {
  const chosen = process.argv.slice(2).filter((argument) => argument !== '--');
  const unknown = chosen.filter((name) => !/^[a-z]+$/.test(name));
  if (unknown.length > 0) throw new UserError(`Not the name of a Debian release: ${unknown.join(' ')}`);
  if (process.getuid() !== 0) {
    throw new UserError('test:matrix makes root file systems with debootstrap and chroot, which only root may do: sudo npm run test:matrix');
  }
  await installPackages(['debootstrap']);
  const rows = [];
  for (const release of chosen.length > 0 ? chosen : releases) rows.push(await testRelease(release));
  print(rows);
  const passed = rows.reduce((sum, row) => sum + row.passed, 0);
  const failed = rows.reduce((sum, row) => sum + row.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
});
