/** The head of a response, taken apart; as native/exchange/response_head.h does it for servers in C++. */

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  /** Names and values in turn, in the application's order, without what belongs to the connection. */
  readonly fields: string[];
  /** Content-Length; -1 without one. */
  readonly length: number;
  /** The application asked for the end of the connection. */
  readonly closes: boolean;
}

const OF_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'trailer', 'upgrade']);

/** Takes "200 OK\nName:value\n…" and the text of an HTTP head apart. */
export function parseHead(packed: string): ResponseHead {
  const lines = packed.split('\n');
  const line = (lines[0] as string).replace(/^HTTP\/\d\.\d /, '').trimEnd();
  const fields: string[] = [];
  let named: Set<string> | undefined;
  let length = -1;
  let closes = false;
  for (let i = 1; i < lines.length; i++) {
    const field = lines[i] as string;
    const colon = field.indexOf(':');
    if (colon <= 0) continue;
    const name = field.slice(0, colon);
    const value = field.slice(colon + 1).trim();
    const key = name.toLowerCase();
    if (OF_CONNECTION.has(key)) {
      if (key !== 'connection') continue;
      for (const option of value.toLowerCase().split(',')) (named ??= new Set()).add(option.trim());
      continue;
    }
    if (key === 'content-length') length = Number(value);
    fields.push(name, value);
  }
  if (named !== undefined) {
    closes = named.has('close');
    dropNamed(fields, named);
  }
  return { status: Number(line.slice(0, 3)), reason: line.slice(4), fields, length, closes };
}

/** What Connection names ends here, too. */
function dropNamed(fields: string[], named: ReadonlySet<string>): void {
  for (let i = fields.length - 2; i >= 0; i -= 2) {
    if (named.has((fields[i] as string).toLowerCase())) fields.splice(i, 2);
  }
}

/** The head of an interim response, or of 101, as it goes to the client. */
export function headText(packed: string, status?: string): string {
  const lines = packed.split(/\r?\n/).filter((line) => line !== '');
  const first = status ?? (lines[0] as string).replace(/^HTTP\/\d\.\d /, '');
  return `HTTP/1.1 ${first}\r\n${lines.slice(1).map((line) => `${line.replace(/^([^:]*):[ \t]*/, '$1: ')}\r\n`).join('')}\r\n`;
}

/** Lines "Name:value\n" as [name, value]. */
export function parseLines(lines: string): [name: string, value: string][] {
  return lines
    .split('\n')
    .filter((line) => line.indexOf(':') > 0)
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
}
