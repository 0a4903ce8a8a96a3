/** Whatever a Python application raises or does to its environ, the request gets its 500 and the next one its answer. */
import { beforeAll, describe, expect, it } from 'vitest';
import { useServer } from '../harness/index.js';
import { laboratory, python } from '../support/language.js';

const raising = (name: string, body: string) => `class E(Exception):\n  def ${name}(self, *a):\n    ${body}\nraise E('x')`;

const odd: [what: string, code: string][] = [
  ['an exception without text', 'raise Exception'],
  ['an exception whose text fails', raising('__str__', 'raise ValueError("no")')],
  ['an exception whose text exits', raising('__str__', 'raise SystemExit')],
  ['an exception whose repr fails', raising('__repr__', 'raise ValueError("no")')],
  ['an exception whose text is no text', raising('__str__', 'return 5')],
  ['an exception whose attributes fail', raising('__getattribute__', 'raise ValueError("no")')],
  ['an exception whose class has an odd name', 'raise type("", (Exception,), {})("x")'],
  ['an exception whose class has a name with controls', 'raise type("A\\n[fake] B", (Exception,), {"__module__": "m\\r\\n"})("x")'],
  ['an exception whose module is no text', 'raise type("E", (Exception,), {"__module__": 5})("x")'],
  ['an exception whose notes are odd', 'e = Exception("x"); e.__notes__ = 5; raise e'],
  ['an exception with notes', 'e = Exception("x"); e.add_note("a\\nb"); raise e'],
  ['an exception that is its own context', 'e = Exception("x"); e.__context__ = e; raise e'],
  ['exceptions that cause each other', 'a = Exception("a"); b = Exception("b"); a.__cause__ = b; b.__cause__ = a; raise a'],
  ['a chain of a thousand causes', 'e = None\nfor i in range(1000):\n  f = Exception(str(i)); f.__cause__ = e; e = f\nraise e'],
  ['a text of a million letters', 'raise Exception("x" * 1_000_000)'],
  ['a text with controls', 'raise Exception("control \\0 \\x1b[2J \\r\\n[Mon Jan 01] forged")'],
  ['a text with halves of surrogate pairs', 'raise Exception("a\\ud83d b \\udcff")'],
  ['a text beyond the BMP', 'raise Exception("\\U0001f40d \\u65e5")'],
  ['a group of exceptions', 'raise ExceptionGroup("several", [ValueError("a"), ExceptionGroup("more", [KeyError("b")])])'],
  ['a group of what ends programs', 'raise BaseExceptionGroup("several", [KeyboardInterrupt(), SystemExit(3)])'],
  ['recursion without end', 'def f(): return f()\nf()'],
  ['recursion in C', 'l = []\nfor i in range(100_000): l = [l]\nrepr(l)'],
  ['recursion of text', 'class E(Exception):\n  def __str__(self): return str(self)\nraise E'],
  ['a syntax error', 'eval("1 +")'],
  ['an indentation error', 'compile("if 1:\\nx", "a\\nb", "exec")'],
  ['an error of another encoding', 'b"\\xff".decode()'],
  ['an error of the operating system', 'open(b"/\\xff\\n")'],
  ['no memory', 'raise MemoryError'],
  ['too much memory', 'bytes(1 << 62)'],
  ['StopIteration', 'raise StopIteration(5)'],
  ['StopAsyncIteration', 'raise StopAsyncIteration'],
  ['GeneratorExit', 'raise GeneratorExit'],
  ['KeyboardInterrupt', 'raise KeyboardInterrupt'],
  ['SystemExit with an object', 'raise SystemExit([object()])'],
  ['SystemExit whose code fails', 'class C:\n  def __repr__(self): raise ValueError\n  __str__ = __repr__\nraise SystemExit(C())'],
  ['the address of another type', 'environ["REQUEST_URI"] = object(); raise Exception("x")'],
  ['the method of another type', 'environ["REQUEST_METHOD"] = 5; raise Exception("x")'],
  ['keys of other types', 'environ[5] = environ[None] = environ[("a",)] = 5; raise Exception("x")'],
  ['values whose text fails', 'class C:\n  def __repr__(self): raise ValueError\n  __str__ = __repr__\nenviron["A"] = C(); raise Exception("x")'],
  ['texts that are no Unicode', 'environ["A\\ud83d"] = "\\udcff"; environ["B"] = "\\u65e5"; raise Exception("x")'],
  ['an environ in itself', 'environ["LOOP"] = environ; raise Exception("x")'],
  ['an empty environ', 'environ.clear(); raise Exception("x")'],
  ['wsgi.errors that is gone', 'del environ["wsgi.errors"], environ["wsgi.input"]; raise Exception("x")'],
  ['wsgi.errors that is closed', 'environ["wsgi.errors"].close() if hasattr(environ["wsgi.errors"], "close") else None; raise Exception("x")'],
  ['sys.stderr that is gone', 'import sys, contextlib\nwith contextlib.redirect_stderr(None):\n  raise Exception("x")'],
  ['a result whose __iter__ fails', 'class R:\n  def __iter__(self): raise ValueError("no")\nresult = R()'],
  ['a result whose __next__ exits', 'class R:\n  def __iter__(self): return self\n  def __next__(self): raise SystemExit\nresult = R()'],
  ['a result whose close fails before the body', 'class R:\n  def __iter__(self): raise ValueError("no")\n  def close(self): raise ValueError("close")\nresult = R()'],
  ['a result whose close exits', 'class R:\n  def __iter__(self): raise ValueError("no")\n  def close(self): raise SystemExit\nresult = R()'],
  ['a result whose attributes fail', 'class R:\n  def __getattr__(self, name): raise RuntimeError("no " + name)\n  def __iter__(self): raise ValueError("no")\nresult = R()'],
  ['a close that cannot be called', 'class R:\n  close = 5\n  def __iter__(self): raise ValueError("no")\nresult = R()'],
  ['a generator that goes on', 'def g():\n  try:\n    yield 5\n  except BaseException: pass\n  finally:\n    yield b"more"\nstart_response("200 OK", []); result = g()'],
  ['start_response without arguments', 'start_response()'],
  ['start_response with one', 'start_response("200 OK")'],
  ['start_response with four', 'start_response("200 OK", [], None, 5)'],
  ['start_response with unknown names', 'start_response("200 OK", [], other=5)'],
  ['exc_info of one', 'start_response("200 OK", []); start_response("200 OK", [], (5,))'],
  ['exc_info of no exception', 'start_response("200 OK", []); write = start_response("200 OK", [], "abc")\nraise Exception("x")'],
  ['write without a block', 'start_response("200 OK", [])()'],
  ['write of a text', 'start_response("200 OK", [])("x")'],
  ['write of two', 'start_response("200 OK", [])(b"x", b"y")'],
  ['headers that change while they are read', 'class S(str):\n  def lower(self): raise ValueError\nh = [(S("A"), "b")] * 3; start_response("200 OK", h); raise Exception("x")'],
  ['a status of a million letters with a control', 'start_response("200 " + "x" * 1_000_000 + "\\n", [])'],
];

describe('a Python application that does odd things', () => {
  const server = useServer({
    ...laboratory(python, ['hello'], { apps: ['wsgi_odd.py'], directives: (s) => [`WSGIScriptAlias /odd ${s.app('wsgi_odd.py')}`] }),
    vhosts: [{}, { directives: ['WSGIErrorPage Development'] }],
  });

  // Workers start with the first request.
  beforeAll(async () => expect((await server.get('/hello')).status).toBe(200));

  it.each(odd)('W-95 W-96 %s', async (_, code) => {
    for (const host of [0, 1]) {
      const since = server.mark();
      const pids = server.appProcesses();
      const response = await server.request(`/odd?${Buffer.from(code).toString('base64url')}==`, { host, timeout: 8000 });
      expect(response.status).toBe(500);
      expect(response.complete).toBe(true);
      await server.expectLog(/NWSGI2\d{3} /, { since });
      for (const line of server.log(since).trimEnd().split('\n')) expect(line).toMatch(/^\[\w{3} \w{3} \d\d /);
      expect((await server.get('/hello')).status).toBe(200);
      expect(server.appProcesses()).toEqual(pids);
    }
  });
});
