/**
 * The supervisor's view of the memory that it shares with the children of httpd and with workers. Layout, and who writes
 * which field: native/exchange/scoreboard.h, which test/unit/supervisor-scoreboard.test.ts compares with this file.
 *
 * All access to fields of 32 bits is atomic; what the supervisor publishes becomes visible in the order of the calls.
 */

export const HEADER_SIZE = 256;
export const POOL_SIZE = 512;
export const WORKER_SIZE = 512;
export const WORKER_SLOTS = 256;
export const POOL_SLOTS = 64;
export const MAGIC = 0x4e575342;
export const VERSION = 1;

/** Byte offsets. */
export const Header = {
  magic: 0, version: 4, workerSlots: 8, poolSlots: 12, usedSlots: 16, usedPools: 20, supervisorPid: 24,
  refusedFull: 32, refusedTimeout: 40, retried: 48, supervisorDueMs: 56,
} as const;
export const Pool = {
  state: 0, nameLength: 4, threads: 8, queueLimit: 12, waiting: 16, freed: 20, serving: 24,
  queueFull: 32, queueTimeouts: 40, queueWaitUs: 48, queueWaits: 56, name: 64, nameSize: 256, fronts: 320,
} as const;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
export const Worker = {
  state: 0, pool: 4, pid: 8, timedOut: 12, tenancy: 16, interrupt: 24,
  active: 64, upgraded: 68, elu: 72, loopBeat: 76, heapMib: 80, rssMib: 84, begun: 88, finished: 96, startedMs: 104,
  exitGeneration: 128, exitHttpStatus: 132, exitCodeLength: 136, exitText: 140, exitTextSize: 256,
} as const;
/** The halves of tenancy by themselves. */
const CLAIMS = Worker.tenancy + (LITTLE_ENDIAN ? 0 : 4);
const GENERATION = Worker.tenancy + (LITTLE_ENDIAN ? 4 : 0);

export const PoolState = { free: 0, used: 1, unavailable: 2 } as const;
export type PoolStateNumber = (typeof PoolState)[keyof typeof PoolState];
export const WorkerState = { free: 0, starting: 1, serving: 2, draining: 3, ended: 4 } as const;
export type WorkerStateNumber = (typeof WorkerState)[keyof typeof WorkerState];

/** What nwsgi_bridge.node does for a supervisor. */
export interface SharedMemory {
  mapScoreboard(fd: number): ArrayBuffer;
  createScoreboard(): number;
  futexWake(buffer: ArrayBuffer, byteOffset: number): void;
}

/** How the end of a worker is told to children. */
export interface ExitInfo {
  status: 502 | 503 | 504;
  /** "NWSGI4205" */
  code: string;
  text: string;
}

/** A slot of an ended worker is left alone for so long: children look there for the reason of its end. */
const EXIT_READABLE = 10_000;

/** As Scoreboard::pool_name() in native/exchange/scoreboard.h: long names are cut and told apart by a hash. */
export function entryName(applicationGroup: Buffer): Buffer {
  if (applicationGroup.length <= Pool.nameSize) return applicationGroup;
  let hash = 0xcbf29ce484222325n;
  for (const byte of applicationGroup) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  const suffix = `#${hash.toString(16).padStart(16, '0')}`;
  return Buffer.concat([applicationGroup.subarray(0, Pool.nameSize - suffix.length), Buffer.from(suffix)]);
}

export class Scoreboard {
  readonly #memory: ArrayBuffer;
  readonly #wake: SharedMemory['futexWake'];
  readonly #words: Uint32Array;
  readonly #wide: BigUint64Array;
  readonly #bytes: Uint8Array;
  readonly #workersAt: number;
  readonly #endedAt = new Map<number, number>();

  /** Takes the table over: from a supervisor that is gone, or empty memory. */
  constructor(memory: ArrayBuffer, wake: SharedMemory['futexWake']) {
    this.#memory = memory;
    this.#wake = wake;
    this.#words = new Uint32Array(memory);
    this.#wide = new BigUint64Array(memory);
    this.#bytes = new Uint8Array(memory);
    if (this.#get(Header.magic) !== MAGIC) {
      this.#set(Header.version, VERSION);
      this.#set(Header.workerSlots, WORKER_SLOTS);
      this.#set(Header.poolSlots, POOL_SLOTS);
      this.#set(Header.magic, MAGIC);
    }
    if (this.#get(Header.version) !== VERSION) throw new Error(`the table of the process group has version ${this.#get(Header.version)}, not ${VERSION}`);
    this.#workersAt = HEADER_SIZE + this.poolSlots * POOL_SIZE;
    const size = this.#workersAt + this.workerSlots * WORKER_SIZE;
    if (memory.byteLength < size) throw new Error(`the table of the process group has ${memory.byteLength} bytes instead of ${size}`);
  }

  get workerSlots(): number {
    return this.#get(Header.workerSlots);
  }

  get poolSlots(): number {
    return this.#get(Header.poolSlots);
  }

  get usedSlots(): number {
    return this.#get(Header.usedSlots);
  }

  /** Everything is prepared: children may say hello. */
  enter(): void {
    this.#set(Header.supervisorPid, process.pid);
  }

  /** Before the memory is given up: children need not wait for answers any more. */
  leave(): void {
    this.#set(Header.supervisorPid, 0);
    for (let index = 0; index < this.#get(Header.usedPools); index++) this.announce(index);
  }

  // ---- pools ----

  /** The entry of an application group, made if need be; -1 when the table is full. Indexes never change their meaning. */
  openPool(fullName: Buffer, threads: number, queueLimit: number): number {
    const name = entryName(fullName);
    const used = this.#get(Header.usedPools);
    for (let index = 0; index < used; index++) {
      if (this.poolName(index).equals(name)) {
        this.#limitPool(index, threads, queueLimit);
        return index;
      }
    }
    if (used >= this.poolSlots) return -1;
    const at = this.#poolAt(used);
    this.#bytes.set(name, at + Pool.name);
    this.#set(at + Pool.nameLength, name.length);
    this.#limitPool(used, threads, queueLimit);
    this.#set(at + Pool.state, PoolState.used);
    this.#set(Header.usedPools, used + 1);
    return used;
  }

  poolName(index: number): Buffer {
    const at = this.#poolAt(index);
    return Buffer.from(this.#bytes.subarray(at + Pool.name, at + Pool.name + this.#get(at + Pool.nameLength)));
  }

  get usedPools(): number {
    return this.#get(Header.usedPools);
  }

  #limitPool(index: number, threads: number, queueLimit: number): void {
    const at = this.#poolAt(index);
    this.#set(at + Pool.threads, threads);
    this.#set(at + Pool.queueLimit, queueLimit);
  }

  setPoolState(index: number, state: PoolStateNumber): void {
    const at = this.#poolAt(index) + Pool.state;
    if (this.#get(at) === state) return;
    this.#set(at, state);
    this.announce(index);
  }

  setServing(index: number, count: number): void {
    this.#set(this.#poolAt(index) + Pool.serving, count);
  }

  waiting(index: number): number {
    return this.#get(this.#poolAt(index) + Pool.waiting);
  }

  /** For counts that killed children have left behind. */
  forgetWaiting(index: number): void {
    this.#set(this.#poolAt(index) + Pool.waiting, 0);
  }

  /** Since the table was made: requests that waited, and how long all of them together. */
  queueWaits(index: number): { waits: bigint; microseconds: bigint } {
    const at = this.#poolAt(index);
    return { waits: this.#getWide(at + Pool.queueWaits), microseconds: this.#getWide(at + Pool.queueWaitUs) };
  }

  /** Something changed for those who wait for a free worker. */
  announce(index: number): void {
    const at = this.#poolAt(index) + Pool.freed;
    Atomics.add(this.#words, at >>> 2, 1);
    this.#wake(this.#memory, at);
  }

  // ---- workers ----

  /** A slot for a new worker, or -1. Slots are numbered from 0 and used again, but not at once. */
  allocate(): number {
    const now = performance.now();
    const used = this.usedSlots;
    let oldest = -1;
    let oldestEnd = Infinity;
    for (let slot = 0; slot < used; slot++) {
      const state = this.state(slot);
      if (state !== WorkerState.free && state !== WorkerState.ended) continue;
      const ended = this.#endedAt.get(slot) ?? -Infinity;
      if (ended < oldestEnd) [oldest, oldestEnd] = [slot, ended];
    }
    if (oldest >= 0 && (now - oldestEnd > EXIT_READABLE || used >= this.workerSlots)) return oldest;
    if (used >= this.workerSlots) return -1;
    this.#set(Header.usedSlots, used + 1);
    return used;
  }

  /** A new tenant of the slot; claims of the former one mean nothing any more. Returns its generation. */
  begin(slot: number, pool: number): number {
    const at = this.#workerAt(slot);
    const generation = ((this.#get(at + GENERATION) + 1) >>> 0) || 1;
    this.#set(at + Worker.state, WorkerState.free);
    this.#set(at + Worker.pool, pool);
    this.#set(at + Worker.pid, 0);
    for (const field of [Worker.timedOut, Worker.interrupt, Worker.active, Worker.upgraded, Worker.elu, Worker.loopBeat, Worker.heapMib, Worker.rssMib]) {
      this.#set(at + field, 0);
    }
    for (const field of [Worker.begun, Worker.finished]) this.#setWide(at + field, 0n);
    this.#setWide(at + Worker.startedMs, BigInt(Date.now()));
    this.#setWide(at + Worker.tenancy, BigInt(generation) << 32n);
    this.#set(at + Worker.state, WorkerState.starting);
    return generation;
  }

  setPid(slot: number, pid: number): void {
    this.#set(this.#workerAt(slot) + Worker.pid, pid);
  }

  state(slot: number): WorkerStateNumber {
    return this.#get(this.#workerAt(slot) + Worker.state) as WorkerStateNumber;
  }

  setState(slot: number, state: WorkerStateNumber): void {
    this.#set(this.#workerAt(slot) + Worker.state, state);
  }

  /** Says how the worker ended, then that it has. */
  end(slot: number, exit: ExitInfo | undefined): void {
    const at = this.#workerAt(slot);
    if (exit !== undefined) {
      const room = this.#bytes.subarray(at + Worker.exitText, at + Worker.exitText + Worker.exitTextSize);
      room.fill(0);
      // A character is not cut, and a NUL is left.
      new TextEncoder().encodeInto(`${exit.code} ${exit.text}`, room.subarray(0, Worker.exitTextSize - 1));
      this.#set(at + Worker.exitHttpStatus, exit.status);
      this.#set(at + Worker.exitCodeLength, exit.code.length);
      this.#set(at + Worker.exitGeneration, this.generation(slot));
    }
    this.#endedAt.set(slot, performance.now());
    this.setState(slot, WorkerState.ended);
  }

  pid(slot: number): number {
    return this.#get(this.#workerAt(slot) + Worker.pid) | 0;
  }

  generation(slot: number): number {
    return this.#get(this.#workerAt(slot) + GENERATION);
  }

  claims(slot: number): number {
    return this.#get(this.#workerAt(slot) + CLAIMS) | 0;
  }

  claim(slot: number): void {
    Atomics.add(this.#words, (this.#workerAt(slot) + CLAIMS) >>> 2, 1);
  }

  active(slot: number): number {
    return this.#get(this.#workerAt(slot) + Worker.active);
  }

  upgraded(slot: number): number {
    return this.#get(this.#workerAt(slot) + Worker.upgraded);
  }

  elu(slot: number): number {
    return this.#get(this.#workerAt(slot) + Worker.elu);
  }

  loopBeat(slot: number): number {
    return this.#get(this.#workerAt(slot) + Worker.loopBeat);
  }

  timedOut(slot: number): number {
    return this.#get(this.#workerAt(slot) + Worker.timedOut);
  }

  begun(slot: number): number {
    return Number(this.#getWide(this.#workerAt(slot) + Worker.begun));
  }

  /** The worker's watchdog interrupts its JavaScript and logs the stack. */
  interrupt(slot: number): void {
    const at = this.#workerAt(slot) + Worker.interrupt;
    Atomics.add(this.#words, at >>> 2, 1);
    this.#wake(this.#memory, at);
  }

  #poolAt(index: number): number {
    return HEADER_SIZE + index * POOL_SIZE;
  }

  #workerAt(slot: number): number {
    return this.#workersAt + slot * WORKER_SIZE;
  }

  #get(at: number): number {
    return Atomics.load(this.#words, at >>> 2);
  }

  #set(at: number, value: number): void {
    Atomics.store(this.#words, at >>> 2, value);
  }

  #getWide(at: number): bigint {
    return Atomics.load(this.#wide, at >>> 3);
  }

  #setWide(at: number, value: bigint): void {
    Atomics.store(this.#wide, at >>> 3, value);
  }
}
