'use strict';

const { Readable, pipeline } = require('stream');
const express = require('express');

const router = express.Router();
const notes = {};

/** Notes how a response ended. */
function watch(req, res) {
  const note = (text) => (notes[req.params.id] = notes[req.params.id] || []).push(text);
  req.on('aborted', () => note('aborted'));
  res.on('finish', () => note('finish'));
  res.on('close', () => note(`close ${res.writableFinished}`));
}

router.get('/events', (req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no' });
  let id = 0;
  const send = () => {
    res.write(`id: ${id}\ndata: event ${id}\n\n`);
    res.flush();
    if (++id < 5) return;
    clearInterval(timer);
    res.end();
  };
  const timer = setInterval(send, 150);
  send();
  req.on('close', () => clearInterval(timer));
});

router.get('/endless/:id', (req, res) => {
  watch(req, res);
  res.type('text').write('begun\n');
  res.flush();
});

router.get('/silent/:id', (req, res) => {
  watch(req, res);
});

router.get('/notes/:id', (req, res) => res.json(notes[req.params.id] || []));

router.get('/large/:mebibytes', (req, res) => {
  const block = Buffer.alloc(64 * 1024, 'x');
  const total = Number(req.params.mebibytes) * 16;
  const blocks = Readable.from((function* () {
    for (let i = 0; i < total; i++) yield block;
  })());
  res.type('application/octet-stream');
  pipeline(blocks, res, () => {});
});

router.post('/count', (req, res) => {
  let bytes = 0;
  req.on('data', (chunk) => (bytes += chunk.length));
  req.on('end', () => res.json({ bytes }));
});

router.post('/interrupted/:id', (req, res) => {
  watch(req, res);
  req.on('error', () => {});
  req.resume();
});

router.get('/broken', (req, res) => {
  res.type('text').write('the first half\n');
  setTimeout(() => res.destroy(new Error('the rest is lost')), 100);
});

module.exports = router;
