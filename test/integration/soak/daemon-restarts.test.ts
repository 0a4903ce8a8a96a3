// Process groups over hundreds of restarts of httpd: nothing piles up in the parent, in the file system or among processes.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDescriptors, residentBytes, sessionProcesses, waitFor, withServer } from '../harness/index.js';

it('200 graceful restarts, some of which change a definition, leave nothing behind', async () => {
  let version = 0;
  await withServer(
    {
      apps: ['hello.mjs'],
      directives: (s) => [
        'WSGIDaemonProcess kept',
        `WSGIDaemonProcess changed env=VERSION=${version}`,
        ...['kept', 'changed'].map((name) => `WSGIScriptAlias /${name} ${s.app('hello.mjs')} process-group=${name} application-group=hello`),
      ],
    },
    async (s) => {
      const settled = () =>
        waitFor('one supervisor and one worker for each group', () => s.supervisors().length === 2 && s.workers().length === 2 && s.children().length === 1, 60_000);
      const restart = async (count: number) => {
        for (let i = 0; i < count; i++) {
          if (i % 10 === 0) version += 1;
          s.writeConfiguration();
          await s.graceful();
          for (const name of ['kept', 'changed']) expect((await s.get(`/${name}`)).status).toBe(200);
        }
        await settled();
      };
      await settled();
      const [kept] = s.supervisors();
      await restart(20);
      const before = { descriptors: openDescriptors(s.pid), memory: residentBytes(s.pid), processes: sessionProcesses(s.pid).length };
      await restart(180);
      expect(openDescriptors(s.pid)).toBeLessThanOrEqual(before.descriptors);
      expect(sessionProcesses(s.pid)).toHaveLength(before.processes);
      // httpd itself keeps a little of each restart.
      expect(residentBytes(s.pid)).toBeLessThan(before.memory + 4 * 1024 * 1024);
      expect(s.supervisors()).toContain(kept);
      expect(readdirSync(join(s.root, 'run', 'nwsgi')).filter((name) => name.endsWith('.sock'))).toHaveLength(2);
      console.log(`memory of the parent: ${before.memory >> 10} KiB after 20, ${residentBytes(s.pid) >> 10} KiB after 200`);
    },
  );
});
