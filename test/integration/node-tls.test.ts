/** The facts of a TLS connection on the sockets of Node applications: mod_ssl's variables in the form of tls.TLSSocket. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { describe, expect, it } from 'vitest';
import { selfSignedCertificate } from './harness/certificate.js';
import { useServer } from './harness/index.js';

const script = 'node/tls-facts.cjs';
const server = useServer({
  apps: [script],
  vhosts: [
    {
      tls: true,
      directives: (s) => ['SSLOptions +StdEnvVars +ExportCertData', 'SSLVerifyClient optional_no_ca', `WSGIScriptAlias / ${s.app(script)}`],
    },
    { tls: true, directives: (s) => `WSGIScriptAlias / ${s.app(script)}` },
    { directives: (s) => `WSGIScriptAlias / ${s.app(script)}` },
  ],
});

interface Facts {
  encrypted?: boolean;
  authorized?: boolean;
  authorizationError?: string | null;
  servername?: string | false;
  alpnProtocol?: string;
  certificate: { subject?: Record<string, string>; serialNumber?: string; raw?: { data: number[] } } | null;
  session: unknown[];
}

/** Asks over a connection with these TLS options. */
function ask(host: number, options: https.RequestOptions = {}): Promise<Facts> {
  return new Promise((resolve, reject) => {
    const request = https.get(server.url('/', host), { agent: false, rejectUnauthorized: false, ...options }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(JSON.parse(text) as Facts));
    });
    request.on('error', reject);
  });
}

describe('the socket of a request', () => {
  it('tells of the session, and of the name that the client asked for', async () => {
    const facts = await ask(0, { servername: 'localhost' });
    expect(facts).toMatchObject({ encrypted: true, authorized: false, servername: 'localhost', alpnProtocol: 'http/1.1', certificate: {} });
    expect(facts.session).toEqual(['TLSv1.3', expect.stringMatching(/^TLS_/), false]);
  });

  it("has the client's certificate", async () => {
    const files = selfSignedCertificate(server.root);
    const cert = readFileSync(files.certificate, 'utf8');
    const facts = await ask(0, { cert, key: readFileSync(files.key, 'utf8') });
    expect(facts.certificate).toMatchObject({ subject: { CN: 'localhost' }, serialNumber: expect.stringMatching(/^[0-9A-F]+$/) as string });
    expect(Buffer.from(facts.certificate?.raw?.data ?? []).toString('base64')).toBe(cert.replace(/-----[^-]+-----|\s/g, ''));
    // Self-signed: mod_ssl has let it in without believing it.
    expect([facts.authorized, facts.authorizationError]).toEqual([false, expect.stringMatching(/GENEROUS|FAILED/)]);
  });

  it('is encrypted also where mod_ssl exports no variables', async () => {
    expect(await ask(1)).toMatchObject({ encrypted: true, authorized: false, certificate: {} });
  });

  it('has none of this without TLS', async () => {
    const facts = (await server.request('/', { host: 2 })).json() as Facts;
    expect([facts.encrypted, facts.authorized, facts.certificate]).toEqual([undefined, undefined, null]);
  });
});
