/** The supervisor's view of the shared memory is that of native/exchange/scoreboard.h. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as layout from '../../src/supervisor/scoreboard.js';
import { Orphans } from '../../src/supervisor/orphans.js';
import { PoolState, Scoreboard, WorkerState } from '../../src/supervisor/scoreboard.js';

const header = readFileSync(fileURLToPath(new URL('../../native/exchange/scoreboard.h', import.meta.url)), 'utf8');
const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

describe('the layout', () => {
  it.each([['ScoreboardHeader', layout.Header, layout.HEADER_SIZE], ['ScoreboardPool', layout.Pool, layout.POOL_SIZE], ['ScoreboardWorker', layout.Worker, layout.WORKER_SIZE]] as const)('of %s is the same', (type, fields, size) => {
    expect(header).toContain(`static_assert(sizeof(${type}) == ${size})`);
    const offsets = [...header.matchAll(new RegExp(`static_assert\\(offsetof\\(${type}, (\\w+)\\) == (\\d+)\\)`, 'g'))].map(([, name, offset]) => [name, Number(offset)]);
    const ours = Object.entries(fields).filter(([name]) => !/Size$/.test(name)).map(([name, offset]) => [snakeCase(name), offset]);
    expect(ours.filter(([, offset]) => offset !== 0)).toEqual(offsets.filter(([, offset]) => offset !== 0));
  });

  it('has the same constants', () => {
    expect(header).toContain('kMagic = 0x4E575342');
    expect(header).toContain(`kVersion = ${layout.VERSION};`);
    expect(header).toContain(`kWorkerSlots = ${layout.WORKER_SLOTS};`);
    expect(header).toContain(`kPoolSlots = ${layout.POOL_SLOTS};`);
    expect(header).toContain('enum class WorkerState : uint32_t { kFree, kStarting, kServing, kDraining, kEnded };');
    expect(header).toContain('enum class PoolState : uint32_t { kFree, kUsed, kUnavailable };');
  });
});

describe('the table', () => {
  const size = layout.HEADER_SIZE + layout.POOL_SLOTS * layout.POOL_SIZE + layout.WORKER_SLOTS * layout.WORKER_SIZE;
  const make = (memory = new ArrayBuffer(size)) => {
    const woken: number[] = [];
    return { memory, woken, scoreboard: new Scoreboard(memory, (_, offset) => woken.push(offset)) };
  };

  it('is made in empty memory and taken over from another supervisor', () => {
    const { memory, scoreboard } = make();
    scoreboard.enter();
    expect(new Uint32Array(memory).slice(0, 4)).toEqual(Uint32Array.of(layout.MAGIC, layout.VERSION, layout.WORKER_SLOTS, layout.POOL_SLOTS));
    expect(scoreboard.openPool(Buffer.from('a'), 5, 7)).toBe(0);
    expect(scoreboard.openPool(Buffer.from('b'), 5, 7)).toBe(1);
    const again = make(memory).scoreboard;
    expect(again.openPool(Buffer.from('b'), 6, 8)).toBe(1);
    expect(again.openPool(Buffer.from('c'), 6, 8)).toBe(2);
    expect(again.poolName(1).toString()).toBe('b');
    expect(() => new Scoreboard(new ArrayBuffer(1024), () => undefined)).toThrow(/1024 bytes/);
  });

  it('has room for so many pools and no more', () => {
    const { scoreboard } = make();
    for (let i = 0; i < layout.POOL_SLOTS; i++) expect(scoreboard.openPool(Buffer.from(`pool ${i}`), 1, 1)).toBe(i);
    expect(scoreboard.openPool(Buffer.from('one more'), 1, 1)).toBe(-1);
  });

  it('tells long names apart, as children do', () => {
    const { scoreboard } = make();
    const base = 'a'.repeat(250);
    expect(scoreboard.openPool(Buffer.from(`${base}abcdefg`), 1, 1)).toBe(0);
    expect(scoreboard.openPool(Buffer.from(`${base}abcdefh`), 1, 1)).toBe(1);
    expect(scoreboard.openPool(Buffer.from(`${base}abcdef`), 1, 1)).toBe(2);
    expect(scoreboard.poolName(0).toString()).toBe(`${'a'.repeat(239)}#ce5c1b2265c278ed`);
    expect(scoreboard.poolName(2).toString()).toBe(`${base}abcdef`);
  });

  it('gives each tenant of a slot a generation of its own, without claims', () => {
    const { scoreboard } = make();
    expect(scoreboard.begin(0, 0)).toBe(1);
    scoreboard.claim(0);
    scoreboard.claim(0);
    expect(scoreboard.claims(0)).toBe(2);
    expect(scoreboard.generation(0)).toBe(1);
    expect(scoreboard.begin(0, 0)).toBe(2);
    expect(scoreboard.claims(0)).toBe(0);
    expect(scoreboard.state(0)).toBe(WorkerState.starting);
  });

  it('does not use a slot again while somebody may look for the reason of its end', () => {
    const { scoreboard } = make();
    const slot = scoreboard.allocate();
    scoreboard.begin(slot, 0);
    scoreboard.end(slot, { status: 502, code: 'NWSGI4205', text: 'ended' });
    expect(scoreboard.allocate()).toBe(1);
    for (let i = 1; i < layout.WORKER_SLOTS; i++) {
      expect(scoreboard.allocate()).toBe(i);
      scoreboard.begin(i, 0);
    }
    // Rather than have no worker.
    expect(scoreboard.allocate()).toBe(0);
    scoreboard.begin(0, 0);
    expect(scoreboard.allocate()).toBe(-1);
  });

  it('tells the reason of an end, cut between characters', () => {
    const { memory, scoreboard } = make();
    scoreboard.begin(0, 0);
    scoreboard.end(0, { status: 504, code: 'NWSGI4209', text: `x${'ü'.repeat(200)}` });
    const at = layout.HEADER_SIZE + layout.POOL_SLOTS * layout.POOL_SIZE;
    const view = Buffer.from(memory, at, layout.WORKER_SIZE);
    expect(view.readUInt32LE(layout.Worker.exitGeneration)).toBe(1);
    expect(view.readUInt32LE(layout.Worker.exitHttpStatus)).toBe(504);
    expect(view.readUInt32LE(layout.Worker.exitCodeLength)).toBe(9);
    const text = view.subarray(layout.Worker.exitText, layout.Worker.exitText + layout.Worker.exitTextSize);
    expect(text[255]).toBe(0);
    expect(text.toString().replace(/\0+$/, '')).toBe(`NWSGI4209 x${'ü'.repeat(122)}`);
    expect(scoreboard.state(0)).toBe(WorkerState.ended);
  });

  it('leaves slots to the workers of a supervisor that is gone until they are, too', () => {
    const { memory, scoreboard } = make();
    const index = scoreboard.openPool(Buffer.from('a'), 1, 1);
    scoreboard.setServing(index, 2);
    for (const pid of [process.pid, 0x3fffffff]) {
      const slot = scoreboard.allocate();
      scoreboard.begin(slot, index);
      scoreboard.setPid(slot, pid);
      scoreboard.setState(slot, WorkerState.serving);
    }
    const next = make(memory).scoreboard;
    const orphans = new Orphans(next);
    expect([next.state(0), next.state(1)]).toEqual([WorkerState.draining, WorkerState.ended]);
    expect(new Uint32Array(memory)[(layout.HEADER_SIZE + layout.Pool.serving) / 4]).toBe(0);
    next.setPid(0, 0x3fffffff);
    orphans.look();
    expect(next.state(0)).toBe(WorkerState.draining); // it goes by what it saw at its start
    expect(next.allocate()).toBe(2);
  });

  it('wakes those who wait when a pool changes', () => {
    const { scoreboard, woken } = make();
    const index = scoreboard.openPool(Buffer.from('a'), 1, 1);
    scoreboard.setPoolState(index, PoolState.unavailable);
    expect(woken).toEqual([layout.HEADER_SIZE + layout.Pool.freed]);
    scoreboard.setPoolState(index, PoolState.unavailable);
    expect(woken).toHaveLength(1);
    scoreboard.interrupt(3);
    expect(woken[1]).toBe(layout.HEADER_SIZE + layout.POOL_SLOTS * layout.POOL_SIZE + 3 * layout.WORKER_SIZE + layout.Worker.interrupt);
  });
});
