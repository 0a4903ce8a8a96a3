import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Router } from 'express';

const router = Router();
const notes = new Map();

/** Notes how a response ended. */
function watch(req, res) {
  const list = [];
  notes.set(req.params.id, list);
  req.on('aborted', () => list.push('aborted'));
  res.on('finish', () => list.push('finish'));
  res.on('close', () => list.push(`close ${res.writableFinished}`));
}

router.get('/events', async (req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  for (let id = 0; id < 5 && !res.destroyed; id++) {
    if (id > 0) await sleep(150);
    res.write(`id: ${id}\ndata: event ${id}\n\n`);
    res.flush();
  }
  res.end();
});

router.get('/endless/:id', (req, res) => {
  watch(req, res);
  res.type('text').write('begun\n');
  res.flush();
});

router.get('/silent/:id', (req, res) => watch(req, res));

router.get('/notes/:id', (req, res) => res.json(notes.get(req.params.id) ?? []));

router.get('/large/:mebibytes', async (req, res) => {
  const block = Buffer.alloc(64 * 1024, 'x');
  async function* blocks() {
    for (let i = 0; i < Number(req.params.mebibytes) * 16; i++) yield block;
  }
  res.type('application/octet-stream');
  await pipeline(Readable.from(blocks()), res);
});

router.post('/count', async (req, res) => {
  let bytes = 0;
  for await (const chunk of req) bytes += chunk.length;
  res.json({ bytes });
});

router.post('/interrupted/:id', async (req, res) => {
  watch(req, res);
  try {
    for await (const chunk of req) chunk.fill(0);
  } catch (error) {
    notes.get(req.params.id).push(`error ${error.code}`);
  }
});

router.get('/broken', async (req, res) => {
  res.type('text').write('the first half\n');
  await sleep(100);
  res.destroy(new Error('the rest is lost'));
});

export default router;
