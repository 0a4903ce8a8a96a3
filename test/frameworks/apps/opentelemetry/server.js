'use strict';

const exporter = require('./tracing');
const { setTimeout: sleep } = require('node:timers/promises');
const { trace } = require('@opentelemetry/api');
const express = require('express');

const app = express();

app.get('/work/:id', async (req, res) => {
  await sleep(20);
  trace.getTracer('work').startActiveSpan(`work ${req.params.id}`, (span) => {
    span.end();
    res.send('done');
  });
});
app.get('/fails', (req, res) => res.status(503).send('later'));
app.get('/endless', (req, res) => res.write('begun'));

app.get('/spans', (req, res) => {
  res.json(
    exporter.getFinishedSpans().map((span) => {
      const { traceId, spanId } = span.spanContext();
      return { traceId, spanId, parent: span.parentSpanId, name: span.name, kind: span.kind, error: span.status.code === 2, attributes: span.attributes };
    }),
  );
});

app.listen(process.env.PORT || 3000);
