/** What to do about errors of Python applications, in the words of Python. */
import type { CatalogueEntry } from '../errors.js';

/** By code: where the catalogue's own remedy speaks of JavaScript. */
const REMEDIES: Readonly<Record<string, string>> = {
  NWSGI2102: 'Remove the cause. The script is loaded again when it changed or after a pause.',
  NWSGI2103: 'Define a callable of that name, e.g. `def application(environ, start_response):` or `application = Flask(__name__)`, or set WSGICallableObject to the name that the script has.',
  NWSGI2201: 'The traceback follows. Catch the exception in the application, or correct its cause.',
  NWSGI2202: 'The traceback follows. Catch the exception in the application, or correct its cause.',
  NWSGI2203: 'Call start_response before the first block is returned, yielded or written.',
  NWSGI2204: 'Return a list of bytes: `return [body]`. A function without a return statement returns None.',
  NWSGI2205: "Blocks are bytes: encode text, e.g. with `text.encode('utf-8')`.",
  NWSGI2206: "Pass a str such as '200 OK'.",
  NWSGI2207: "Pass a list of (name, value) tuples of str, e.g. [('Content-Type', 'text/plain')]. Correct the header that the message names; values with characters above U+00FF have to be encoded first.",
  NWSGI2208: 'Call start_response once, or pass sys.exc_info() as third argument to replace an answer that was not sent yet.',
  NWSGI2209: 'Finish all work on the request before the iterable of the response ends; threads that go on must not use its objects.',
  NWSGI2210: 'Compute Content-Length from the encoded bytes (len(body.encode())), not from the text, or leave it out.',
  NWSGI2211: 'Compute Content-Length from the encoded bytes (len(body.encode())), not from the text, or leave it out.',
  NWSGI2212: 'The traceback follows. Correct close().',
  NWSGI2215: 'Pass an object with read(size), such as an open file.',
};

/** By code: titles that name what Python calls otherwise. */
const TITLES: Readonly<Record<string, string>> = {
  NWSGI2103: 'The script does not define the application callable',
  NWSGI2203: 'The application did not call start_response',
  NWSGI2205: 'A block of the response is not bytes',
  NWSGI2206: 'start_response got an invalid status',
  NWSGI2207: 'start_response got invalid headers',
  NWSGI2208: 'start_response was called twice',
};

export function pythonTitleOf(problem: CatalogueEntry): string {
  return TITLES[problem.code] ?? problem.title;
}

export function pythonRemedyOf(problem: CatalogueEntry): string | undefined {
  return REMEDIES[problem.code];
}

/** What an exception itself suggests, by its summary: "ModuleNotFoundError: No module named 'flask'". `user`: who the server runs applications as. */
export function pythonAdviceFor(summary: string, user: string): string | undefined {
  const missing = /^(?:ModuleNotFoundError|ImportError): No module named '([^']+)'/.exec(summary)?.[1];
  if (missing !== undefined) {
    return `If ${missing} is a package, install it for the Python that serves (python-home or WSGIPythonHome names a virtual environment); if it is a folder of the application, name the one above it in python-path or WSGIPythonPath, or add it to sys.path.`;
  }
  const denied = /^PermissionError: \[Errno (?:1|13)\] [^:]*: '([^']+)'/.exec(summary)?.[1];
  if (denied !== undefined) return `The server runs applications as the user ${user}: let that user have ${denied} (owner and permissions, also of the folders above it).`;
  if (/^SyntaxError: Missing parentheses in call to 'print'/.test(summary)) return 'The script was written for Python 2.';
  if (/ImproperlyConfigured: .*settings are not configured/.test(summary)) return "Set DJANGO_SETTINGS_MODULE before anything of Django is used: os.environ['DJANGO_SETTINGS_MODULE'] = 'site.settings' (not setdefault() where several sites share an interpreter).";
  return undefined;
}
