// What a server needs while something else runs: memory and CPU, looked at again and again.
import { median } from './statistics.mjs';

export class Sampler {
  #place;
  #timer;
  #samples = [];

  constructor(place, { every = 500 } = {}) {
    this.#place = place;
    this.#timer = setInterval(() => this.#look(), every);
  }

  #look() {
    this.#samples.push({ at: performance.now(), memory: this.#place.memory().rss, cpu: this.#place.cpu() });
  }

  /** Ends it. Of the time from `from` to `to` (of performance.now()): bytes resident in the middle and at most, CPU seconds for each second. */
  stop({ from = 0, to = Infinity } = {}) {
    clearInterval(this.#timer);
    const samples = this.#samples.filter(({ at }) => at >= from && at <= to);
    if (samples.length === 0) throw new Error('the time was too short to look at the memory');
    const [first, last] = [samples[0], samples.at(-1)];
    return {
      usual: median(samples.map(({ memory }) => memory)),
      most: Math.max(...samples.map(({ memory }) => memory)),
      busy: samples.length < 2 ? 0 : (last.cpu - first.cpu) / ((last.at - first.at) / 1000),
    };
  }
}
