"""sys.stdin, sys.stdout and sys.stderr, and who writes whole texts to the latter."""

import sys
import threading
import warnings

import _nwsgi

from . import faults
from .levels import ERROR, NOTICE, WARNING


class RestrictedInput:
    """Takes the place of sys.stdin with WSGIRestrictStdin On."""

    name = '<stdin>'
    mode = 'r'
    encoding = 'utf-8'
    errors = 'strict'
    closed = False

    def isatty(self):
        return False

    def readable(self):
        return False

    def fileno(self):
        self._refuse()

    def close(self):
        pass

    def __iter__(self):
        return self

    def __next__(self):
        self._refuse()

    def read(self, *_):
        self._refuse()

    readline = readlines = read

    @property
    def buffer(self):
        self._refuse()

    def _refuse(self):
        raise OSError('NWSGI2609 sys.stdin has nothing for an application: the configuration has WSGIRestrictStdin On')


class RestrictedOutput:
    """Takes the place of sys.stdout with WSGIRestrictStdout On."""

    name = '<stdout>'
    mode = 'w'
    encoding = 'utf-8'
    errors = 'backslashreplace'
    closed = False

    def isatty(self):
        return False

    def writable(self):
        return False

    def fileno(self):
        self._refuse()

    def flush(self):
        pass

    def close(self):
        pass

    def write(self, *_):
        self._refuse()

    writelines = write

    @property
    def buffer(self):
        self._refuse()

    def _refuse(self):
        raise OSError('NWSGI2609 sys.stdout leads nowhere: the configuration has WSGIRestrictStdout On. The error log takes what is written to sys.stderr or environ["wsgi.errors"]')


def install(restrict_stdin, restrict_stdout):
    if restrict_stdin:
        sys.stdin = RestrictedInput()
    sys.stdout = RestrictedOutput() if restrict_stdout else _nwsgi.LogStream(NOTICE, '<stdout>')
    sys.stderr = _nwsgi.LogStream(ERROR, '<stderr>')
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    sys.argv = ['mod_wsgi']
    sys.excepthook = log_exception
    sys.unraisablehook = log_unraisable
    threading.excepthook = log_thread_exception
    warnings.showwarning = log_warning


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def log_exception(_type, exception, _traceback):
    log_described('An exception was not caught', exception)


def log_thread_exception(arguments):
    if arguments.exc_type is SystemExit:
        return
    name = arguments.thread.name if arguments.thread is not None else str(threading.get_ident())
    log_described(f'Exception in thread {name}', arguments.exc_value or Exception(arguments.exc_type))


def log_unraisable(arguments):
    where = arguments.err_msg or 'Exception ignored in'
    try:
        if arguments.object is not None:
            where = f'{where}: {arguments.object!r}'
    except Exception:
        pass
    log_described(where, arguments.exc_value or Exception(arguments.exc_type))


def log_warning(message, category, filename, lineno, file=None, line=None):
    text = warnings.formatwarning(message, category, filename, lineno, line)
    if file is not None:
        file.write(text)
    else:
        _log(WARNING, text.rstrip('\n'))


def log_described(title, exception):
    summary, text, _file, _line = faults.describe(exception)
    _log(ERROR, f'{title}\n{text or summary}')


def _log(level, text):
    """One entry, unless somebody has put a stream of his own there."""
    if type(sys.stderr) is _nwsgi.LogStream:
        _nwsgi.log(level, text.encode('utf-8', 'backslashreplace').decode())
    elif sys.stderr is not None:
        sys.stderr.write(text + '\n')
