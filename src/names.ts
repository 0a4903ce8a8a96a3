/**
 * Recognises the names of variables by their bytes. Each request has the same thirty or so: making strings of them and
 * looking these up in V8's own table would take most of the time that a request takes in the gateway.
 */

/** What is to be done with a variable; positive: the bit of an expected one. */
export const Role = { Plain: 0, Instruction: -1, Ignored: -2, Guarded: -3 } as const;

const SLOTS = 1024;
const LONGEST = 48;

/** What a name in a record stands for. */
export interface Meaning {
  /** The name to use for it. */
  text: string;
  role: number;
}

/** A lossy table with one name for each hash: a name that is met replaces the one that was there. Bounded by its size. */
export class NameTable {
  /** What the name in a slot is to be called; a string that V8 knows as a key already. */
  readonly texts: string[] = new Array<string>(SLOTS).fill('');
  readonly roles = new Int32Array(SLOTS);
  readonly #lengths = new Uint8Array(SLOTS);
  readonly #known = new DataView(new ArrayBuffer(SLOTS * LONGEST));
  #bytes: Uint8Array | undefined;
  #view: DataView = this.#known;
  readonly #meaningOf: (name: string) => Meaning;

  constructor(meaningOf: (name: string) => Meaning) {
    this.#meaningOf = meaningOf;
  }

  /** The slot of the name in `length` bytes from `at`; -1 for one that is too long to be kept. */
  find(bytes: Uint8Array, at: number, length: number): number {
    if (length > LONGEST || length === 0) return -1;
    const middle = bytes[at + (length >> 1)] as number;
    const last = bytes[at + length - 1] as number;
    const beforeLast = length > 1 ? (bytes[at + length - 2] as number) : last;
    const second = length > 1 ? (bytes[at + 1] as number) : last;
    // Factors found by trial: no two of the usual names share a slot (a test has the list).
    const slot = (length * 381 + second * 874 + middle * 40 + beforeLast * 460 + last * 815) & (SLOTS - 1);
    if (this.#lengths[slot] === length && this.#equals(slot * LONGEST, bytes, at, length)) return slot;
    this.#learn(slot, bytes, at, length);
    return slot;
  }

  /** Compares four bytes at a time; the last step may overlap the one before it. */
  #equals(from: number, bytes: Uint8Array, at: number, length: number): boolean {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const known = this.#known;
    const view = this.#view;
    const lastStep = length - 4;
    for (let i = 0; i < lastStep; i += 4) {
      if (known.getInt32(from + i) !== view.getInt32(at + i)) return false;
    }
    if (lastStep >= 0) return known.getInt32(from + lastStep) === view.getInt32(at + lastStep);
    for (let i = 0; i < length; i++) {
      if (known.getUint8(from + i) !== view.getUint8(at + i)) return false;
    }
    return true;
  }

  #learn(slot: number, bytes: Uint8Array, at: number, length: number): void {
    const found = bytes.subarray(at, at + length);
    new Uint8Array(this.#known.buffer).set(found, slot * LONGEST);
    // As the key of an object it becomes the string that V8 uses for all properties of that name.
    const { text, role } = this.#meaningOf(String.fromCharCode(...found));
    const [name = ''] = Object.keys({ [text]: 0 });
    this.texts[slot] = name;
    this.roles[slot] = role;
    this.#lengths[slot] = length;
  }
}
