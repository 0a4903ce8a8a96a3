import { json } from '@sveltejs/kit';
import { createHash } from 'node:crypto';

export async function POST({ request }) {
  const bytes = new Uint8Array(await request.arrayBuffer());
  return json({ length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
}
