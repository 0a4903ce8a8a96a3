/** Random numbers that come again with the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(...seed: readonly (string | number)[]) {
    this.#state = 0x811c9dc5;
    for (const character of seed.join('/')) this.#state = Math.imul(this.#state ^ character.charCodeAt(0), 0x01000193);
  }

  /** At least 0, less than 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Both ends included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length - 1)] as T;
  }

  /** Where to cut something of this size into pieces: rising positions, the last one is the size. */
  cuts(size: number, pieces: number): number[] {
    const inner = Array.from({ length: pieces - 1 }, () => this.integer(0, size));
    return [...inner.sort((a, b) => a - b), size];
  }
}
