// The end of an environment whose application calls process.exit() when it is told to end.
import { expect, it } from 'vitest';
import { describeEachMpm, sleep, waitFor, withServer } from './harness/index.js';

describeEachMpm('process.exit() of an application that is told to end', (mpm) => {
  it('is no crash: nothing is started again, and the log has no error', async () => {
    await withServer(
      {
        mpm,
        children: 1,
        apps: ['platform/exits-when-told.cjs'],
        directives: (s) => `WSGIScriptAlias / ${s.app('platform/exits-when-told.cjs')}`,
      },
      async (s) => {
        const first = (await s.get('/')).text;
        s.addApp('platform/exits-when-told.cjs');
        const second = await waitFor('the new environment', async () => {
          const { status, text } = await s.get('/');
          expect(status).toBe(200);
          return text !== first && text;
        });
        await s.expectLog(/told to end/);
        await s.expectLog(/ends with 0/);
        await sleep(200);
        expect((await s.get('/')).text).toBe(second);
        await s.gracefulStop();
        expect(s.log().match(/told to end/g)).toHaveLength(2);
        expect(s.log()).not.toMatch(/NWSGI3004|NWSGI3009|nwsgi:(error|crit)/);
      },
    );
  });
});
