/**
 * Recognises the names of variables by their bytes. Each request has the same thirty or so: making strings of them and
 * looking these up in V8's own table would take most of the time that a request takes in the gateway.
 */

/** What is to be done with a variable; positive: the bit of an expected one. */
export const Role = { Plain: 0, Instruction: -1, Ignored: -2 } as const;

const SLOTS = 1024;
const LONGEST = 48;

/** A lossy table with one name for each hash: a name that is met replaces the one that was there. Bounded by its size. */
export class NameTable {
  /** The name in a slot; a string that V8 knows as a key already. */
  readonly texts: string[] = new Array<string>(SLOTS).fill('');
  readonly roles = new Int32Array(SLOTS);
  readonly #bytes = new Uint8Array(SLOTS * LONGEST);
  readonly #roleOf: (name: string) => number;

  constructor(roleOf: (name: string) => number) {
    this.#roleOf = roleOf;
  }

  /** The slot of the name in `length` bytes from `at`; -1 for one that is too long to be kept. */
  find(bytes: Uint8Array, at: number, length: number): number {
    if (length > LONGEST || length === 0) return -1;
    const middle = bytes[at + (length >> 1)] as number;
    const beforeLast = bytes[at + length - (length > 2 ? 3 : 1)] as number;
    const last = bytes[at + length - 1] as number;
    const slot = (length * 37 + middle * 101 + beforeLast * 59 + last * 17) & (SLOTS - 1);
    if ((this.texts[slot] as string).length === length) {
      const known = this.#bytes;
      let i = 0;
      for (let k = slot * LONGEST; i < length && known[k + i] === bytes[at + i]; ) i++;
      if (i === length) return slot;
    }
    this.#learn(slot, bytes, at, length);
    return slot;
  }

  #learn(slot: number, bytes: Uint8Array, at: number, length: number): void {
    const found = bytes.subarray(at, at + length);
    this.#bytes.set(found, slot * LONGEST);
    // As the key of an object it becomes the string that V8 uses for all properties of that name.
    const [name = ''] = Object.keys({ [String.fromCharCode(...found)]: 0 });
    this.texts[slot] = name;
    this.roles[slot] = this.#roleOf(name);
  }
}
