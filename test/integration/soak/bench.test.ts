/** npm run bench itself, on the smallest of its parts. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';

const partial = 'bench/results/partial';

/** Runs it; `interruptAt`: text after which it gets a SIGINT. */
function runBench(args: string[], interruptAt?: RegExp): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, ['scripts/bench.mjs', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let interrupted = false;
  const take = (data: Buffer) => {
    text += data.toString();
    if (!interrupted && interruptAt?.test(text)) interrupted = child.kill('SIGINT');
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, text })));
}

/** Commands of the processes that run a server of a benchmark's folder. */
function servers(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((command) => /nwsgi-tree-\w+\/apache-/.test(command));
}

it('measures what is asked for, and says whether its promises hold', async () => {
  const { code, text } = await runBench(['--quick', '--only', 'requests/hello/nwsgi-embedded', 'requests/hello/c-location', '--rounds', '2']);
  expect(code, text).toBe(0);
  expect(text).toMatch(/against the C handler in a <Location>: throughput: wanted ≥ 1 ×, seen/);
  const { results, machine } = JSON.parse(readFileSync(`${partial}/results.json`, 'utf8'));
  expect(machine.cpus).toBeGreaterThan(0);
  expect(results.map(({ contender }: { contender: string }) => contender).sort()).toEqual(['c-location', 'nwsgi-embedded']);
  for (const { rounds } of results) {
    expect(rounds).toHaveLength(2);
    for (const { rate, cpu, p99, pss } of rounds) for (const figure of [rate, cpu, p99, pss]) expect(figure).toBeGreaterThan(0);
  }
  expect(readFileSync(`${partial}/results.md`, 'utf8')).toContain('C handler in a <Location>');
  expect(readFileSync(`${partial}/requests.svg`, 'utf8')).toContain('<svg');
});

it('ends its servers when it is interrupted', async () => {
  const before = servers();
  const { code, text } = await runBench(['--only', 'requests/hello/32/nwsgi-embedded', '--seconds', '30'], /left\] requests, hello/);
  expect(code, text).toBe(1);
  expect(text).toContain('interrupted');
  expect(servers().filter((command) => !before.includes(command))).toEqual([]);
});

it('says which names there are when there is nothing of a name', async () => {
  const { code, text } = await runBench(['--only', 'nosuchthing']);
  expect(code).toBe(1);
  expect(text).toContain('--list');
});
