/**
 * Signals that the supervisor, or whoever ends a whole group of processes, sends to a worker. Applications have no part in
 * them: their listeners for SIGTERM are called at the end of a drain (stop.ts). Other signals reach them as in Node.
 */

/** Sent by terminals and service managers to all processes of a group; only the supervisor acts on them. */
const IGNORED = ['SIGINT', 'SIGHUP', 'SIGQUIT'] as const;
const MANAGED: ReadonlySet<unknown> = new Set(['SIGTERM', ...IGNORED]);

type Emit = (type: string | symbol, ...args: unknown[]) => boolean;
type Hook = (type: unknown, listener: unknown) => void;

function ignore(): void {}

/** `terminate` runs at each SIGTERM. To be called before anything else listens for signals. */
export function takeSignals(terminate: () => void): void {
  const inherited = Object.getPrototypeOf(process) as { emit: Emit };
  const own = process as unknown as { emit?: Emit };
  // Node binds `process.emit` to the signal when the first listener is added: here it gets this function instead.
  own.emit = (type, ...args) => {
    if (!MANAGED.has(type)) return inherited.emit.call(process, type, ...args);
    if (type === 'SIGTERM') terminate();
    return true;
  };
  for (const signal of MANAGED) process.on(signal as NodeJS.Signals, ignore);
  delete own.emit;
  keepHooks('newListener');
  keepHooks('removeListener');
  for (const signal of MANAGED) process.removeListener(signal as NodeJS.Signals, ignore);
}

/** Node's own listeners, which switch signals on and off, and not for these. The channel's are left out: it is nobody's affair. */
function keepHooks(event: 'newListener' | 'removeListener'): void {
  const emitter = process as NodeJS.EventEmitter;
  const hooks = emitter.listeners(event) as Hook[];
  emitter.removeAllListeners(event);
  for (const hook of hooks) {
    if (hook.name === 'onNewListener' || hook.name === 'onRemoveListener') continue;
    emitter.on(event, (type: unknown, listener: unknown) => {
      if (!MANAGED.has(type)) hook.call(process, type, listener);
    });
  }
}
