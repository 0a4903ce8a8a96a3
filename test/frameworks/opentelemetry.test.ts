/** OpenTelemetry's instrumentation of http and Express sees the requests, with their contexts and ends. */
import { expect, it } from 'vitest';
import { waitFor } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';
import { describeTargets } from './harness/targets.js';

interface Span {
  traceId: string;
  spanId: string;
  parent?: string;
  name: string;
  /** 1: of a server. */
  kind: number;
  error: boolean;
  attributes: Record<string, unknown>;
}

describeTargets(apps.opentelemetry, (target) => {
  const spans = async () => (await target.get('/spans')).json() as Span[];
  const traceOf = async (traceId: string, enough: number) => {
    const probe = async () => {
      const found = (await spans()).filter((span) => span.traceId === traceId);
      return found.length >= enough ? found : undefined;
    };
    return waitFor(`${enough} spans`, probe, 5000);
  };
  let number = 0;
  const newTrace = () => `${target.port.toString(16)}${++number}`.padStart(32, 'a');

  it('continues the trace of the client, down to the application', async () => {
    const traceId = newTrace();
    const parent = 'b7ad6b7169203331';
    await target.get('/work/7?a=1', { traceparent: `00-${traceId}-${parent}-01`, 'User-Agent': 'tests' });
    const found = await traceOf(traceId, 3);
    const server = found.find((span) => span.kind === 1) as Span;
    expect(server).toMatchObject({ name: 'GET /work/:id', parent, error: false });
    expect(server.attributes).toMatchObject({
      'http.method': 'GET',
      'http.status_code': 200,
      'http.route': '/work/:id',
      'http.user_agent': 'tests',
      'net.peer.ip': expect.stringMatching(/127\.0\.0\.1$/) as string,
      'http.target': '/work/7?a=1',
    });
    expect(found.find((span) => span.name === 'work 7')?.parent).toBeDefined();
  });

  it('keeps concurrent traces apart', async () => {
    const traces = Array.from({ length: 10 }, newTrace);
    await Promise.all(traces.map((id, i) => target.get(`/work/${i}`, { traceparent: `00-${id}-b7ad6b7169203331-01` })));
    for (const [i, id] of traces.entries()) {
      const names = (await traceOf(id, 3)).map(({ name }) => name).filter((name) => name.startsWith('work'));
      expect(names).toEqual([`work ${i}`]);
    }
  });

  it('marks errors', async () => {
    const traceId = newTrace();
    await target.get('/fails', { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
    const server = (await traceOf(traceId, 1)).find((span) => span.kind === 1);
    expect([server?.error, server?.attributes['http.status_code']]).toEqual([true, 503]);
  });

  it('ends the span of a request whose client left', async () => {
    const traceId = newTrace();
    const { request, response } = await target.open('/endless', { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } });
    response.on('error', () => {});
    await new Promise((resolve) => response.once('data', resolve));
    request.destroy();
    await waitFor('the span', async () => (await spans()).some((span) => span.traceId === traceId && span.kind === 1), 5000);
  });
});
