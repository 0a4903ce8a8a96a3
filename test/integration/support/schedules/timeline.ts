/** When the server was restarted and its applications reloaded. */
export class Timeline {
  readonly #begin = performance.now();
  readonly #events: { at: number; what: 'graceful' | 'reload'; over: number }[] = [];

  /** Notes the event while it lasts. */
  async during(what: 'graceful' | 'reload', work: () => Promise<void>): Promise<void> {
    const event = { at: performance.now(), what, over: Infinity };
    this.#events.push(event);
    await work();
    event.over = performance.now();
  }

  /** A child that was told to leave may take a while to close what is idle. */
  restartedSince(time: number): boolean {
    return this.#events.some(({ what, over }) => what === 'graceful' && over + 3000 > time);
  }

  /** Environments that are replaced close what was upgraded; they may take 20 s for all of it. */
  disturbedSince(time: number): boolean {
    return this.#events.some(({ over }) => over + 20_000 > time);
  }

  count(what: 'graceful' | 'reload'): number {
    return this.#events.filter((event) => event.what === what).length;
  }

  toString(): string {
    return this.#events.map(({ at, what }) => `${what} at ${((at - this.#begin) / 1000).toFixed(1)} s`).join(', ') || 'none';
  }

  get seconds(): number {
    return (performance.now() - this.#begin) / 1000;
  }
}
