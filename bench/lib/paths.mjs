import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const benchFolder = dirname(dirname(fileURLToPath(import.meta.url)));
export const apacheModules = '/usr/lib/apache2/modules';
