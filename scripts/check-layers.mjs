// Checks that each native layer includes only the headers it may know about. Run by npm test.
import { readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './lib/paths.mjs';
import { filesBelow } from './lib/stamps.mjs';

/** Foreign headers, and the folders of native/ that may include them. */
const foreign = [
  { name: 'httpd and APR headers', pattern: /^(httpd|http_\w+|ap_\w+|apr\w*|util_\w+|mod_\w+|scoreboard|mpm_common|unixd)\.h$/, folders: ['module', 'test'] },
  { name: "Node's and V8's C++ headers", pattern: /^(node|v8[\w-]*|cppgc\/.*|libplatform\/.*)(\.h)?$/, folders: ['runtime'] },
  { name: 'Node-API', pattern: /^(napi|node_api|js_native_api\w*)(-inl)?\.h$/, folders: ['bridge', 'python_addon'] },
  { name: 'libuv', pattern: /^uv\.h$/, folders: ['bridge', 'runtime', 'fastcgi'] },
  { name: 'CPython', pattern: /^Python\.h$/, folders: ['python'] },
];

/** Our own layers: which folders a folder may include from, besides itself. */
const layers = {
  exchange: [],
  module: ['exchange'],
  bridge: ['exchange', 'fastcgi'],
  runtime: ['exchange', 'bridge'],
  fastcgi: ['exchange'],
  python: ['exchange'],
  python_addon: ['exchange', 'python', 'bridge'],
  test: ['exchange', 'fastcgi', 'module', 'runtime'],
};

export function layerViolations() {
  const native = join(root, 'native');
  const found = [];
  for (const file of filesBelow(native, /\.(cc|h)$/)) {
    const folder = relative(native, file).split(sep)[0];
    readFileSync(file, 'utf8')
      .split('\n')
      .forEach((line, index) => {
        const header = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/.exec(line)?.[1];
        if (header === undefined) return;
        const where = `${relative(root, file)}:${index + 1}`;
        for (const { name, pattern, folders } of foreign) {
          if (pattern.test(header) && !folders.includes(folder)) {
            found.push(`${where}: ${header}: ${name} are for native/${folders.join(', native/')} only`);
          }
        }
        const target = header.split('/')[0];
        if (header.includes('/') && target in layers && target !== folder && !layers[folder]?.includes(target)) {
          found.push(`${where}: ${header}: native/${folder} may not include from native/${target}`);
        }
      });
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = layerViolations();
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
}
