// Where things are in the project. Everything that the scripts produce is in a git-ignored folder.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const cache = join(root, '.cache');
export const logs = join(cache, 'log');
export const stamps = join(cache, 'stamps');
export const libnodePrefix = join(root, '.deps', 'libnode');
export const nativeBuild = join(root, 'build');
export const nativeOutput = join(nativeBuild, 'Release');
