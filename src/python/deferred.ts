/** Python, once a script needs it: environments without any load none of its modules. */
import type { LoadOutcome, LoadWishes } from '../app-loader.js';
import type { BridgeConfig, NativeBridge } from '../native.js';
import type { Target } from '../record.js';
import type { EnterPythonScript, Python } from './python.js';

export class DeferredPython {
  readonly #make: () => Promise<Python>;
  #coming: Promise<Python> | undefined;
  #python: Python | undefined;
  /** See {@link Python.onIdle}. */
  onIdle: () => void = () => undefined;

  constructor(bridge: NativeBridge, config: BridgeConfig, enter: EnterPythonScript) {
    this.#make = async () => {
      const { Python } = await import('./python.js');
      const python = new Python(bridge, config, enter);
      python.onIdle = () => this.onIdle();
      this.#python = python;
      return python;
    };
  }

  /** See {@link Python.inFlight}. */
  get inFlight(): number {
    return this.#python?.inFlight ?? 0;
  }

  /** See {@link Python.load}. */
  async load(target: Target, wishes: LoadWishes): Promise<LoadOutcome> {
    const python = await (this.#coming ??= this.#make());
    return python.load(target, wishes);
  }

  /** See {@link Python.stop}. */
  stop(reason: string, milliseconds: number): void {
    this.#python?.stop(reason, milliseconds);
  }
}
