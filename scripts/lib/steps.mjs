// Progress on the terminal, child processes whose output goes to a log, and the messages of a step that failed.
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { logs, root } from './paths.mjs';

const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = (text) => paint(1, text);
export const dim = (text) => paint(2, text);
export const green = (text) => paint(32, text);
export const red = (text) => paint(31, text);

/** A failure that its reader can do something about: printed without a stack. */
export class UserError extends Error {}

const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/**
 * Runs one step and prints how long it took. `work` may return a few words that describe the result; a step that
 * returns `null` had nothing to do and is not mentioned.
 */
export async function step(name, work) {
  const start = performance.now();
  const live = process.stdout.isTTY;
  if (live) process.stdout.write(`  ${dim('…')} ${name}`);
  const clear = () => live && process.stdout.write('\r\u001b[K');
  try {
    const said = await work((note) => {
      if (live) process.stdout.write(`\r\u001b[K  ${dim('…')} ${name} ${dim(note)}`);
      else console.log(`  … ${name}: ${note}`);
    });
    clear();
    if (said !== null) console.log(`  ${green('✓')} ${name}${said ? `: ${said}` : ''} ${dim(`(${seconds(start)})`)}`);
    return said;
  } catch (error) {
    clear();
    console.log(`  ${red('✗')} ${name} ${dim(`(${seconds(start)})`)}`);
    throw error;
  }
}

/** Runs a command to its end and returns `{status, stdout, stderr}`; a missing command has status 127. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', cwd: root, maxBuffer: 1 << 26, ...options });
  return { status: result.status ?? 127, stdout: result.stdout ?? '', stderr: result.stderr ?? String(result.error ?? '') };
}

/**
 * Runs a command whose output goes to `.cache/log/<log>.log`. When it fails, the error carries the end of that log,
 * or the lines that look like errors when there are some.
 */
export async function run(log, command, args, options = {}) {
  mkdirSync(logs, { recursive: true });
  const file = join(logs, `${log}.log`);
  const out = createWriteStream(file, { flags: options.append ? 'a' : 'w' });
  out.write(`$ ${[command, ...args].join(' ')}\n`);
  const child = spawn(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.pipe(out, { end: false });
  child.stderr.pipe(out, { end: false });
  const status = await new Promise((resolve) => {
    child.on('error', (error) => {
      out.write(`${error.message}\n`);
      resolve(127);
    });
    child.on('close', (code, signal) => resolve(signal ? 1 : code));
  });
  await new Promise((resolve) => out.end(resolve));
  if (status !== 0 && !options.mayFail) {
    throw new UserError(
      `${command} ${args[0] ?? ''} failed (exit status ${status}). ${relative(root, file)} ends with:\n${excerpt(file)}`,
    );
  }
  return status;
}

function excerpt(file) {
  // Compiler command lines are longer than any message.
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').filter((line) => line.length < 400);
  const first = lines.findIndex((line) => /\berror( TS\d+)?:|undefined reference|CMake Error|^E: /i.test(line));
  const chosen = first >= 0 && lines.length - first > 30 ? lines.slice(first, first + 30) : lines.slice(-30);
  return chosen.map((line) => `    ${line}`).join('\n');
}

/** Runs a script's main function; turns failures into one readable message and an exit status. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    console.error(error instanceof UserError ? `\n${red('error:')} ${error.message}` : error);
    process.exitCode = 1;
  }
}
