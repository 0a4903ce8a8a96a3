// mod_security2 sees and stops parked requests and their answers as any. Without the module there is nothing to test.
import { beforeAll, describe, expect, it } from 'vitest';
import { securityModule } from '../../scripts/lib/apache-modules.mjs';
import { head, useServer, type RawResponse } from './harness/index.js';
import { eachForm, forms, parkingForms, parkingServer, type Form } from './support/parking.js';

const security = securityModule();

describe.skipIf(security === undefined)('mod_security2', () => {
  const server = useServer(
    parkingServer({
      modules: ['unique_id'],
      directives: (s) => [
        ...(security?.libraries ?? []).map((file) => `LoadFile "${file}"`),
        `LoadModule security2_module "${security?.file}"`,
        'SecRuleEngine On',
        'SecRequestBodyAccess On',
        'SecResponseBodyAccess On',
        'SecResponseBodyMimeType text/plain text/html',
        'SecResponseBodyLimit 1048576',
        'SecRequestBodyLimit 1048576',
        `SecTmpDir "${s.root}/run"`,
        `SecDataDir "${s.root}/run"`,
        'SecAuditEngine Off',
        'SecRule REQUEST_HEADERS:X-Evil "@streq yes" "id:1,phase:1,deny,status:403"',
        'SecRule REQUEST_BODY "@contains evil" "id:2,phase:2,deny,status:403"',
        'SecRule RESPONSE_STATUS "@streq 418" "id:3,phase:3,deny,status:502"',
        'SecRule RESPONSE_BODY "@contains SSSSS" "id:4,phase:4,deny,status:500"',
      ],
    }),
  );

  async function ask(form: Form, query: string, headers: string[] = [], body?: string, again = true): Promise<RawResponse> {
    const client = await server.raw();
    const first = body === undefined ? 'GET' : 'POST';
    await client.send(head(`${first} /${form}?${query} HTTP/1.1`, 'Host: localhost', ...headers, ...(body === undefined ? [] : [`Content-Length: ${body.length}`, 'Content-Type: application/x-www-form-urlencoded'])) + (body ?? ''));
    const response = await client.readResponse();
    if (again && response.status < 400) {
      await client.send(head(`GET /${form}?size=1 HTTP/1.1`, 'Host: localhost', 'Connection: close'));
      expect((await client.readResponse()).text).toBe('x');
    }
    client.close();
    return response;
  }

  async function expectAlike(status: number, query: string, headers: string[] = [], body?: string): Promise<RawResponse> {
    const all = await eachForm((form) => ask(form, query, headers, body));
    const told = ({ status, text, framing, complete }: RawResponse) => ({ status, text, framing, complete });
    for (const form of parkingForms) expect(told(all[form]), form).toEqual(told(all.wait));
    expect(all.wait.status).toBe(status);
    return all.park;
  }

  beforeAll(async () => {
    await server.get('/wait');
  });

  it('lets pass what no rule is about, whole and in pieces', async () => {
    await expectAlike(200, 'wait=30&size=1000');
    expect((await expectAlike(200, 'wait=30&blocks=5&gap=20&size=1000')).text.length).toBe(5000);
    expect((await expectAlike(200, 'wait=30&blocks=0&read=1', [], 'a=harmless')).text).toBe('a=harmless');
    expect((await expectAlike(200, 'wait=30&blocks=20&size=100000&fill=y&type=application/octet-stream')).text.length).toBe(2_000_000);
  });

  it('refuses by the head, by the body, and by the status of the answer', async () => {
    await expectAlike(403, 'wait=30', ['X-Evil: yes']);
    await expectAlike(403, 'wait=30&read=1', [], 'a=evil');
    await expectAlike(502, 'wait=30&status=418');
  });

  it('refuses by the body of the answer', async () => {
    await expectAlike(500, 'wait=30&size=100&fill=S');
    await expectAlike(500, 'wait=30&blocks=4&gap=20&size=100&fill=S');
  });

  it('does so with many at a time', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(forms[i % 3] as Form, i % 2 === 0 ? 'wait=100&fill=S&size=50' : 'wait=100&size=50', [], undefined, false)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map((_, i) => (i % 2 === 0 ? 500 : 200)));
  });
});
