/** A certificate for localhost that is made once in a test process. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  certificate: string;
  key: string;
}

let made: Certificate | undefined;

/** Files of a self-signed certificate for localhost and 127.0.0.1. */
export function selfSignedCertificate(): Certificate {
  if (made) return made;
  const folder = mkdtempSync(join(tmpdir(), 'nwsgi-cert-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const files = { certificate: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', files.key, '-out', files.certificate],
    ],
    { stdio: 'pipe' },
  );
  made = files;
  return files;
}
