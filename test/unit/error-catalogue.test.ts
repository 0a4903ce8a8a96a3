/** docs/errors.md describes every error code, once, and no other. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { errorCatalogue } from '../../src/errors.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const documentation = join(root, 'docs', 'errors.md');

function files(folder: string, extensions: RegExp): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'test' ? [] : files(path, extensions);
    return extensions.test(entry.name) ? [path] : [];
  });
}

/** Code → files in which it occurs. Codes are written as NWSGInnnn, or as numbers in native enumerations. */
function codesInSources(): Map<string, string[]> {
  const codes = new Map<string, string[]>();
  const add = (code: string, file: string) => codes.set(code, [...(codes.get(code) ?? []), file]);
  for (const file of [...files('src', /\.ts$/), ...files('native', /\.(cc|h|cjs|mjs|js)$/)]) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, code] of text.matchAll(/\b(NWSGI\d{4})\b/g)) add(code as string, file);
    if (/error_codes?\.h$/.test(file)) for (const [, number] of text.matchAll(/\bk\w+ = (\d{4}),/g)) add(`NWSGI${number}`, file);
  }
  return codes;
}

const headings = (text: string) => [...text.matchAll(/^#{2,4} `?(NWSGI\d{4})\b(?![–-])/gm)].map(([, code]) => code as string);

describe('the error codes', () => {
  it('are found in the sources', () => {
    const codes = codesInSources();
    expect([...codes.keys()]).toEqual(expect.arrayContaining(['NWSGI1001', 'NWSGI1201', 'NWSGI2001', 'NWSGI2501', 'NWSGI3004']));
    expect(codes.size).toBeGreaterThan(60);
  });

  it('are allocated once in the gateway', () => {
    const codes = errorCatalogue.map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code).toMatch(/^NWSGI2\d{3}$/);
  });

  it('have texts that say what happened, what follows and what to do', () => {
    for (const { code, title, cause, outcome, remedy } of errorCatalogue) {
      for (const text of [title, cause, outcome, remedy]) expect(text.length, code).toBeGreaterThan(4);
      expect(title, code).not.toMatch(/\.$/);
      for (const text of [cause, outcome, remedy]) expect(text, code).toMatch(/[.`")]$/);
    }
  });

  it('have a section each in docs/errors.md', () => {
    expect(existsSync(documentation), 'docs/errors.md exists').toBe(true);
    const described = new Set(headings(readFileSync(documentation, 'utf8')));
    const missing = [...codesInSources()].filter(([code]) => !described.has(code)).map(([code, where]) => `${code} (${where[0]})`);
    expect(missing).toEqual([]);
  });

  it('are described once, and none that does not exist', () => {
    expect(existsSync(documentation), 'docs/errors.md exists').toBe(true);
    const described = headings(readFileSync(documentation, 'utf8'));
    const known = codesInSources();
    expect(described.filter((code) => !known.has(code))).toEqual([]);
    expect(described.filter((code, index) => described.indexOf(code) !== index)).toEqual([]);
  });

  it('have the same title in docs/errors.md as in the log', () => {
    expect(existsSync(documentation), 'docs/errors.md exists').toBe(true);
    const text = readFileSync(documentation, 'utf8');
    const wrong = errorCatalogue.filter(({ code, title }) => !new RegExp(`^#{2,4} \`?${code}\\b(?![–-]).*`, 'm').exec(text)?.[0].includes(title));
    expect(wrong.map(({ code, title }) => `${code} ${title}`)).toEqual([]);
  });
});
