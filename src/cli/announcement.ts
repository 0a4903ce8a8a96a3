/** What `nwsgi serve` says when it serves, and in `systemctl status`. */
import type { OpenListener } from './listeners.js';

export interface Announced {
  readonly script: string;
  readonly mount: string;
  readonly listeners: readonly Pick<OpenListener, 'protocol' | 'description'>[];
  readonly processes: { readonly least: number; readonly most: number };
  readonly threads: number;
  readonly user: string;
  readonly node: string;
  readonly nodeVersion: string;
  readonly version: string;
  readonly pid: number;
  readonly errorLog: string;
}

/** "http://127.0.0.1:8000/shop", or what a front server is told. */
export function showListener({ protocol, description }: Pick<OpenListener, 'protocol' | 'description'>, mount: string): string {
  if (protocol === 'fastcgi') return `fastcgi ${description}`;
  return description.startsWith('unix:') ? `http ${description}` : `http://${description.replace(/^\*/, '127.0.0.1')}${mount}/`;
}

/** A block of a few lines; the URL comes first, where a person looks for it. */
export function announcement(about: Announced): string {
  const { processes, threads } = about;
  const number = processes.least === processes.most ? String(processes.most) : `${processes.least} to ${processes.most}`;
  const lines: [string, string][] = [
    ['application', `${about.script}${about.mount === '' ? '' : ` at ${about.mount}`}`],
    ['workers', `${number} × ${threads} requests, user ${about.user}`],
    ['node', `${about.nodeVersion} (${about.node})`],
    ['process', `${about.pid}, nwsgi ${about.version}`],
    ['log', about.errorLog === '' ? 'standard error' : about.errorLog],
  ];
  const places = about.listeners.map((listener) => showListener(listener, about.mount));
  return `${places.join('\n')}\n${lines.map(([name, value]) => `  ${name.padEnd(12)} ${value}\n`).join('')}`;
}

/** One line for `systemctl status`. */
export function statusLine(serving: number, starting: number, draining: number, listeners: Announced['listeners'], mount: string): string {
  const others = [starting > 0 ? `${starting} starting` : '', draining > 0 ? `${draining} draining` : ''].filter(Boolean).join(', ');
  const where = listeners.map((listener) => showListener(listener, mount)).join(', ');
  return `${serving} worker${serving === 1 ? '' : 's'} serving${others === '' ? '' : ` (${others})`} at ${where}`;
}
