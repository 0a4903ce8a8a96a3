/** tRPC in TypeScript that nobody compiled, asked by its own client. */
import { describe, expect, it } from 'vitest';
import { apps, importClientPackage } from './harness/apps.js';
import { describeTargets, type Target } from './harness/targets.js';

interface Client {
  greet: { query(input: { name: string }): Promise<string> };
  notes: { list: { query(): Promise<string[]> }; add: { mutate(input: string): Promise<number> } };
  stream: { query(): Promise<AsyncIterable<number>> };
}
interface ClientPackage {
  createTRPCClient(options: { links: unknown[] }): Client;
  httpLink(options: unknown): unknown;
  httpBatchLink(options: unknown): unknown;
  httpBatchStreamLink(options: unknown): unknown;
}

describeTargets(apps.trpc, (target) => {
  describe.each(['httpLink', 'httpBatchLink', 'httpBatchStreamLink'] as const)('with %s', (link) => calls(target, link));

  it('streams results', async () => {
    const client = await connect(target, 'httpBatchStreamLink');
    const start = performance.now();
    const numbers: number[] = [];
    let first = 0;
    for await (const number of await client.stream.query()) {
      first ||= performance.now() - start;
      numbers.push(number);
    }
    expect(numbers).toEqual([0, 1, 2]);
    expect(performance.now() - start - first).toBeGreaterThan(200);
  });

  it('streams a subscription as events', async () => {
    const { response } = await target.open('/ticks?input=3', { headers: { Accept: 'text/event-stream' } });
    expect(response.headers['content-type']).toBe('text/event-stream');
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect([...text.matchAll(/^data: (\d)$/gm)].map((match) => match[1])).toEqual(['0', '1', '2']);
  });
});

function calls(target: Target, link: keyof ClientPackage): void {
  it('answers queries and mutations, alone and together', async () => {
    const client = await connect(target, link);
    const names = ['Ada', 'Grace', 'Ünï'];
    const answers = await Promise.all(names.map((name) => client.greet.query({ name })));
    expect(answers).toEqual(names.map((name) => `Hello, ${name}`));
    const count = await client.notes.add.mutate('remember');
    expect((await client.notes.list.query()).length).toBe(count);
  });

  it('reports errors', async () => {
    const client = await connect(target, link, {});
    await expect(client.notes.add.mutate('x')).rejects.toMatchObject({ data: { code: 'UNAUTHORIZED', httpStatus: 401 } });
    await expect(client.greet.query({ name: 7 as unknown as string })).rejects.toMatchObject({ data: { code: 'BAD_REQUEST' } });
  });
}

async function connect(target: Target, link: keyof ClientPackage, headers: Record<string, string> = { 'x-token': 'let me in' }): Promise<Client> {
  const trpc = await importClientPackage<ClientPackage>('@trpc/client');
  return trpc.createTRPCClient({ links: [(trpc[link] as (options: unknown) => unknown)({ url: target.url(''), headers })] });
}
