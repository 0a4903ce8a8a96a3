/** The layout that express-generator makes: started by bin/www, or exported to a host that listens on its own. */
import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { describeTargets, type Target } from './harness/targets.js';

const pages = (target: Target) => {
  it('renders its page and the page for errors', async () => {
    const page = await target.get('/');
    expect([page.status, page.text.includes('<h1>Express</h1><p>Welcome to Express</p>')]).toEqual([200, true]);
    const missing = await target.get('/missing');
    expect([missing.status, missing.text.includes('<h1>Not Found</h1><h2></h2>')]).toEqual([404, true]);
    const style = await target.get('/stylesheets/style.css');
    expect([style.status, style.headers['content-type']]).toEqual([200, 'text/css; charset=utf-8']);
  });
};

describeTargets(apps.expressGenerator, (target) => {
  pages(target);

  it('has an address', async () => {
    expect((await target.get('/bind')).text).toMatch(/^port \d+$/);
  });
});

describeTargets(apps.expressExported, pages);
