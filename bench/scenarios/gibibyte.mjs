// One request with 1 GiB: sent from a file, streamed in 64 KiB chunks, uploaded.
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const size = 2 ** 30;
const has = (path) => (contender) => contender.paths === undefined || path in contender.paths;

function writeFile(file) {
  const block = Buffer.alloc(2 ** 20, 'x');
  const target = openSync(file, 'w');
  for (let index = 0; index < size / block.length; index += 1) writeSync(target, block);
  closeSync(target);
}

export default {
  name: 'gibibyte',
  title: 'One response or request of 1 GiB',
  applications: ['bodies'],
  cases: [
    { name: 'file', title: 'sent from a file', path: '/file', when: has('/file') },
    { name: 'stream', title: 'streamed in 64 KiB chunks', path: '/stream', rounds: 2, when: has('/stream') },
    { name: 'upload', title: 'uploaded', path: '/upload', upload: true, rounds: 1, when: has('/upload') },
  ],
  columns: ['seconds', 'cpuSeconds'],
  full: { rounds: 3 },
  quick: false,
  takes: () => 1.2,
  /** Whoever takes longer than this is not asked again. */
  patience: 5,
  /** The file that all of them send; curl uploads it too. */
  prepare: (machine) => writeFile(join(machine.folder, 'gibibyte')),
  async check() {},
  async measure({ place, load, machine, path, upload }) {
    const before = place.cpu();
    const result = await load.curl(place.url(path), { timeout: 60, ...(upload ? { upload: join(machine.folder, 'gibibyte') } : {}) });
    const moved = upload ? result.sent : result.received;
    if (result.status !== 200 || moved !== size) throw new Error(`status ${result.status}, ${moved} bytes`);
    return { seconds: result.seconds, speed: size / result.seconds, cpuSeconds: place.cpu() - before };
  },
};
