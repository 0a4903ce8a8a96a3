/**
 * The head of a request as Node and fetch applications need it: header names as the client wrote them, nothing of what
 * only a WSGI environ has. That is decoded on demand (see {@link RequestHead.record}).
 */
import { NameTable, Role } from './names.js';
import { cursor, instruct, INSTRUCTION_PREFIX, latin1 } from './record.js';
import type { Instructions } from './record.js';

const Field = { Method: 1, Target: 2, ScriptName: 3, PathInfo: 4, Protocol: 5, RemoteAddress: 6, RemotePort: 7, ServerAddress: 8, ServerPort: 9, Scheme: 10, Header: 11, Authorization: 12, CgiHeader: 13 } as const;

const FIELDS = new Map<string, number>([
  ['REQUEST_METHOD', Field.Method],
  ['REQUEST_URI', Field.Target],
  ['SCRIPT_NAME', Field.ScriptName],
  ['PATH_INFO', Field.PathInfo],
  ['SERVER_PROTOCOL', Field.Protocol],
  ['REMOTE_ADDR', Field.RemoteAddress],
  ['REMOTE_PORT', Field.RemotePort],
  ['SERVER_ADDR', Field.ServerAddress],
  ['SERVER_PORT', Field.ServerPort],
  ['wsgi.url_scheme', Field.Scheme],
]);

/** The header for a variable of a plain FastCGI client. */
function headerOfVariable(name: string): string | undefined {
  if (name === 'CONTENT_TYPE' || name === 'CONTENT_LENGTH') return name.toLowerCase().replace('_', '-');
  return name.startsWith('HTTP_') ? name.slice(5).toLowerCase().replaceAll('_', '-') : undefined;
}

const names = new NameTable((name) => {
  if (name.startsWith(INSTRUCTION_PREFIX)) return { text: name, role: Role.Instruction };
  if (name.startsWith(':')) {
    const text = name.slice(1);
    return { text, role: /^(proxy-)?authorization$/i.test(text) ? Field.Authorization : Field.Header };
  }
  const field = FIELDS.get(name);
  if (field !== undefined) return { text: name, role: field };
  const header = headerOfVariable(name);
  return header === undefined ? { text: name, role: Role.Ignored } : { text: header, role: Field.CgiHeader };
});

export class RequestHead {
  method = '';
  /** As the client wrote it: path and query, or an absolute URL. */
  target = '';
  /** The mount, decoded; '' at the root of a site. */
  scriptName = '';
  /** What follows the mount, decoded. */
  pathInfo = '';
  protocol = '';
  remoteAddress = '';
  remotePort = '';
  serverAddress = '';
  serverPort = '';
  secure = false;
  /** Names and values in turn, in the order of the request. */
  rawHeaders: string[] = [];
  /** The whole record as latin-1, for what is seldom asked for. */
  record = '';

  /**
   * Decodes the record in `bytes` from `start` to `end`; what it asks of the gateway goes to `instructions`.
   *
   * @throws NwsgiError NWSGI2213 for a malformed record.
   */
  static decode(bytes: Buffer, start: number, end: number, instructions: Instructions): RequestHead {
    const head = new RequestHead();
    const text = latin1(bytes, start, end);
    head.record = text;
    const credentials: string[] = [];
    cursor.reset(bytes, start, end);
    while (cursor.next()) {
      const slot = names.find(bytes, cursor.nameAt, cursor.nameLength);
      const role = slot < 0 ? Role.Plain : (names.roles[slot] as number);
      if (role === Role.Ignored) continue;
      const value = text.substring(cursor.valueAt - start, cursor.valueEnd - start);
      if (slot < 0) head.#addLong(text.substring(cursor.nameAt - start, cursor.valueAt - start), value);
      else if (role === Field.Header || role === Field.CgiHeader) head.rawHeaders.push(names.texts[slot] as string, value);
      else if (role === Role.Instruction) instruct(names.texts[slot] as string, value, instructions);
      else if (role === Field.Authorization) credentials.push(names.texts[slot] as string, value);
      else head.#set(role, value);
    }
    if (instructions.authorization !== false) head.rawHeaders.push(...credentials);
    return head;
  }

  /** Names beyond the table's size. */
  #addLong(name: string, value: string): void {
    const header = name.startsWith(':') ? name.slice(1) : headerOfVariable(name);
    if (header !== undefined) this.rawHeaders.push(header, value);
  }

  #set(field: number, value: string): void {
    switch (field) {
      case Field.Method:
        this.method = value;
        break;
      case Field.Target:
        this.target = value;
        break;
      case Field.ScriptName:
        this.scriptName = value;
        break;
      case Field.PathInfo:
        this.pathInfo = value;
        break;
      case Field.Protocol:
        this.protocol = value;
        break;
      case Field.RemoteAddress:
        this.remoteAddress = value;
        break;
      case Field.RemotePort:
        this.remotePort = value;
        break;
      case Field.ServerAddress:
        this.serverAddress = value;
        break;
      case Field.ServerPort:
        this.serverPort = value;
        break;
      default:
        this.secure = value === 'https';
    }
  }

  /** The value of a header (lower-case name); undefined when there is none. */
  header(name: string): string | undefined {
    const raw = this.rawHeaders;
    for (let i = 0; i < raw.length; i += 2) {
      const key = raw[i] as string;
      if (key.length === name.length && key.toLowerCase() === name) return raw[i + 1];
    }
    return undefined;
  }

  /**
   * The target below the mount, as raw as the client wrote it: what `req.url` is for a mounted application. Never empty.
   * An absolute URL stays one at the root of a site.
   */
  urlBelowMount(): string {
    const { target, scriptName } = this;
    if (scriptName === '') return target === '' ? '/' : target;
    const path = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
    const query = path.indexOf('?');
    const pathEnd = query < 0 ? path.length : query;
    const rest = path.slice(0, pathEnd).startsWith(scriptName) ? path.slice(scriptName.length) : this.#reEncoded(path, pathEnd);
    return rest.startsWith('/') ? rest : `/${rest}`;
  }

  /** The client wrote the mount in another way (%73hop, //shop): what follows it is made from the decoded path. */
  #reEncoded(path: string, pathEnd: number): string {
    const decoded = Buffer.from(this.pathInfo, 'latin1').toString();
    return encodeURI(decoded).replace(/[?#]/g, encodeURIComponent) + path.slice(pathEnd);
  }
}
