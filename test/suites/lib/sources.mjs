// Fetches the sources of a suite into .cache/suites/<name>; does nothing when they are there already.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cache } from '../../../scripts/lib/paths.mjs';
import { capture, run, UserError } from '../../../scripts/lib/steps.mjs';

export const suitesCache = join(cache, 'suites');
const downloads = join(suitesCache, 'downloads');

/** The folder of a suite, with everything that its tests need. */
export async function provideSuite(name, suite) {
  const folder = join(suitesCache, name);
  const stamp = join(folder, '.fetched');
  const wanted = JSON.stringify([suite.source, suite.package, suite.tests, suite.install, suite.overrides]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (suite.source) await unpackDebian(suite.source, folder);
  if (suite.package) await unpackPackage(suite.package, folder);
  if (suite.tests) await unpackDebian(suite.tests, folder);
  await install(name, suite, folder);
  writeFileSync(stamp, wanted);
  return folder;
}

/** The Node that the reference runs use: the version that is embedded, from npm. */
export async function provideNode(version) {
  const folder = join(suitesCache, `node-v${version}`);
  const program = join(folder, 'bin', 'node');
  if (!existsSync(program)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    await unpackPackage(`node-${process.platform}-${process.arch}@${version}`, folder);
  }
  return program;
}

async function unpackPackage(spec, folder) {
  mkdirSync(downloads, { recursive: true });
  const packed = capture('npm', ['pack', spec, '--json', '--pack-destination', downloads], { cwd: downloads });
  if (packed.status !== 0) throw new UserError(`npm could not fetch ${spec}:\n${packed.stderr}`);
  const [{ filename }] = JSON.parse(packed.stdout);
  await unpack(join(downloads, filename.replace('@', '').replace('/', '-')), folder);
}

async function unpackDebian({ debian, sha256, take }, folder) {
  const archive = join(downloads, basename(debian));
  mkdirSync(downloads, { recursive: true });
  if (!existsSync(archive) || (await sha256Of(archive)) !== sha256) {
    // apt's own helper: it knows the proxy that this machine's apt uses, and refuses a file with another digest.
    await run('suites-download', '/usr/lib/apt/apt-helper', ['-o', 'APT::Sandbox::User=root', 'download-file', `${debianSite()}/${debian}`, archive, `SHA256:${sha256}`]);
  }
  await unpack(archive, folder, take);
}

/** The mirror that this machine's apt uses for Debian itself. */
function debianSite() {
  const { stdout } = capture('apt-get', ['indextargets', '--format', '$(ORIGIN) $(SITE)', 'Created-By: Packages']);
  const sites = stdout.split('\n').flatMap((line) => (line.startsWith('Debian ') ? [line.split(' ')[1]] : []));
  const site = sites.find((name) => !/security/.test(name));
  if (site === undefined) throw new UserError('apt knows no mirror of Debian; run "apt-get update" once.');
  return site;
}

async function sha256Of(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}

/** Unpacks without the archive's outermost folder; `take` names what is wanted of it. */
async function unpack(archive, folder, take) {
  const patterns = take ? ['--wildcards', ...take.map((name) => `*/${name}`)] : [];
  await run('suites-unpack', 'tar', ['xf', archive, '-C', folder, '--strip-components=1', ...patterns]);
}

/** A package.json of the suite's own: it is no part of the package around it. */
async function install(name, { install: packages, overrides }, folder) {
  const file = join(folder, 'package.json');
  const original = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { name: `suite-${name}`, private: true };
  const { devDependencies, scripts, ...rest } = original;
  writeFileSync(file, JSON.stringify({ ...rest, dependencies: { ...original.dependencies, ...packages }, overrides }, null, 2));
  if (packages === undefined) return;
  await run(`suites-install-${name}`, 'npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--force'], { cwd: folder });
}

/** Files of a suite, relative to its folder. */
export function filesOf(suite, folder) {
  const found = [];
  const visit = (relative) => {
    for (const entry of readdirSync(join(folder, relative), { withFileTypes: true })) {
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (suite.files.some((pattern) => pattern.test(path)) && contains(suite, join(folder, path))) found.push(path);
    }
  };
  visit('');
  return found.sort();
}

const contains = (suite, file) => suite.containing === undefined || suite.containing.test(readFileSync(file, 'utf8'));
