// Python applications in every MPM.
import { expect, it } from 'vitest';
import { inEveryMpm } from '../support/conformance/mpm.js';
import { python } from '../support/language.js';

inEveryMpm(python, {
  options: { apps: ['wsgi_gated.py'], directives: (server) => [`WSGIScriptAlias /gate ${server.app('wsgi_gated.py')}`] },
  tests: (server) =>
    it('wsgiref.validate and LintMiddleware have nothing to say', async () => {
      const since = server.mark();
      for (const path of ['wsgi_framing/hello', 'wsgi_framing/told_length?kind=async&blocks=2', 'wsgi_transmission/write_then_list']) {
        expect((await server.get(`/gate/both/${path}`)).status).toBe(200);
      }
      await server.get('/gate/collect');
      expect(server.log(since)).not.toMatch(/WSGIWarning|HTTPWarning|AssertionError|garbage collected|NWSGI2\d\d\d/);
    }),
});
