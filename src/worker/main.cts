/**
 * The first file of a worker process; the supervisor starts it (src/supervisor). CommonJS, because the first messages of the
 * supervisor would arrive unheard during the turns of the event loop that Node 18 and 20 need to load an ES module.
 */
import type { EarlyMessages } from './control.js' with { 'resolution-mode': 'import' };

/** EXIT_UNUSABLE of supervisor/messages.ts. */
const UNUSABLE = 78;
const STDERR = 2;

function giveUp(text: string): never {
  (require('node:fs') as { writeSync(fd: number, text: string): void }).writeSync(STDERR, `NWSGI4250 ${text}\n`);
  process.exit(UNUSABLE);
}

function start(): void {
  if (process.send === undefined) giveUp('A worker is started by its supervisor only: use WSGIDaemonProcess, or `nwsgi serve`.');
  const early: EarlyMessages = {
    messages: [],
    listener: (message, handle) => {
      early.messages.push([message, handle]);
    },
  };
  (process as NodeJS.EventEmitter).on('internalMessage', early.listener);
  // Until the first message has come nothing else keeps the process alive; see Control.
  process.channel?.ref();
  import('./worker.js')
    .then(({ run }) => run(early))
    .catch((error: unknown) => giveUp(`The worker could not start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`));
}

start();
