/**
 * Values with units, as all commands (and the directives of the module) take them. A function returns the value, or
 * throws a {@link BadValue} whose message says what is accepted; who calls it knows the option's name.
 */
import { didYouMean } from './similar.js';

export class BadValue extends Error {}

export type Parse<T> = (text: string) => T;

const DURATIONS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

const NUMBER_AND_UNIT = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i;

const LONGEST = 365 * 86_400_000;

/** Milliseconds. */
export function duration(text: string): number {
  if (isOff(text)) return 0;
  const [, digits, unit = ''] = NUMBER_AND_UNIT.exec(text.trim()) ?? [];
  const factor = DURATIONS[unit.toLowerCase() || 's'];
  if (digits === undefined || factor === undefined) {
    throw new BadValue('is no duration: a number with ms, s, m, h or d, for example 30s (without a unit: seconds); 0 or off for none');
  }
  const milliseconds = Math.round(Number(digits) * factor);
  if (milliseconds > LONGEST) throw new BadValue('is too long: 365d at most');
  if (milliseconds === 0 && Number(digits) > 0) throw new BadValue('is too short: 1ms at least, or 0 for none');
  return milliseconds;
}

/** Bytes. */
export function size(text: string): number {
  if (isOff(text)) return 0;
  const [, digits, unit = ''] = NUMBER_AND_UNIT.exec(text.trim()) ?? [];
  const factor = SIZES[unit.toLowerCase().replace(/(?<=[kmgt])i?b$|^b$/, '')];
  if (digits === undefined || factor === undefined) {
    throw new BadValue('is no size: a number with K, M, G or T, for example 512M (without a unit: bytes); 0 or off for none');
  }
  return Math.round(Number(digits) * factor);
}

/** A size of at least so many bytes, or none. */
export function sizeFrom(least: number): Parse<number> {
  return (text) => {
    const bytes = size(text);
    if (bytes === 0 || bytes >= least) return bytes;
    throw new BadValue(`is too small: ${showSize(least)} at least, or 0 for none`);
  };
}

const isOff = (text: string): boolean => text.toLowerCase() === 'off';

/** A whole number in a range. */
export function count(least: number, most = Number.MAX_SAFE_INTEGER): Parse<number> {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
    throw new BadValue(`is no number ${range}`);
  };
}

/** 0 to 100. */
export function percent(text: string): number {
  const value = /^\d+%?$/.test(text.trim()) ? Number.parseInt(text, 10) : Number.NaN;
  if (!(value <= 100)) throw new BadValue('is no percentage from 0% to 100%');
  return value;
}

/** Permissions in octal. */
export function mode(text: string): number {
  if (!/^0?o?[0-7]{3}$/i.test(text.trim())) throw new BadValue('is no octal mode of three digits, for example 0660');
  return Number.parseInt(text.trim().slice(-3), 8);
}

export function oneOf<T extends string>(...choices: readonly T[]): Parse<T> {
  return (text) => {
    const found = choices.find((choice) => choice === text.toLowerCase());
    if (found !== undefined) return found;
    throw new BadValue(`is not one of ${choices.join(', ')}.${didYouMean(text, choices)}`);
  };
}

/** NAME=value. */
export function assignment(text: string): readonly [name: string, value: string] {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals));
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new BadValue('is no NAME=value with a name of letters, digits and _');
  if (name === 'NODE_OPTIONS') throw new BadValue('sets options of node: write --node-options "--first --second"');
  if (/^NODE_(?:CHANNEL_|UNIQUE_ID$)/.test(name)) throw new BadValue("sets a variable that is Node's own, for its child processes");
  return [name, text.slice(equals + 1)];
}

/** Options that make node do something else than run a script, or wait for a terminal or debugger. */
const UNUSABLE = new Set(
  ('- -- -v --version -h --help -e --eval -p -pe --print -i --interactive -c --check -s --v8-options --completion-bash --test --test-only --watch ' +
    '--watch-path --watch-preserve-output --run --build-snapshot --build-snapshot-config --build-sea --prof-process --inspect-brk --inspect-brk-node ' +
    '--inspect-wait --debug-brk --input-type --experimental-default-type --abort-on-uncaught-exception').split(' '),
);

/** Options of node, with blanks between them. */
export function nodeOptions(text: string): string[] {
  const options = text.split(/\s+/).filter(Boolean);
  for (const option of options) {
    if (!option.startsWith('-')) throw new BadValue(`has "${option}", which does not start with "-": an option with a value is one word, as in --max-old-space-size=512`);
    if (UNUSABLE.has(option.split('=')[0] as string)) throw new BadValue(`has ${option}, with which a worker would not serve requests`);
  }
  return options;
}

/** A URL prefix: "/" or "/shop", without a slash at its end. */
export function mountPoint(text: string): string {
  if (!text.startsWith('/') || /[?#\s]|\/\//.test(text)) throw new BadValue('is no URL path that starts with /, for example /shop');
  return text.replace(/\/$/, '');
}

/** 30s, 1.5s, 500ms, 2h: the shortest way to write milliseconds. */
export function showDuration(milliseconds: number): string {
  for (const unit of ['d', 'h', 'm'] as const) {
    const factor = DURATIONS[unit] as number;
    if (milliseconds >= factor && milliseconds % factor === 0) return `${milliseconds / factor}${unit}`;
  }
  return milliseconds >= 1000 && milliseconds % 100 === 0 ? `${milliseconds / 1000}s` : `${milliseconds}ms`;
}

/** 512M, 1.5G. */
export function showSize(bytes: number): string {
  for (const unit of ['T', 'G', 'M', 'K']) {
    const factor = SIZES[unit.toLowerCase()] as number;
    if (bytes >= factor) return `${Math.round((bytes / factor) * 10) / 10}${unit}`;
  }
  return String(bytes);
}
