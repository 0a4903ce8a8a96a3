"""Describes exceptions for the log and for the page for developers."""

import os
import sysconfig
import traceback

OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Longer ones say nothing more: httpd would cut them into thousands of lines.
LONGEST = 32 * 1024


def _library_folders():
    names = ('stdlib', 'platstdlib')
    folders = {sysconfig.get_path(name) for name in names}
    return tuple(folder + os.sep for folder in folders if folder)


LIBRARY_FOLDERS = _library_folders()


def describe(exception):
    """(summary, traceback, file, line): file and line of the innermost frame that is the application's; '' and 0 when unknown.

    Never raises, whatever the exception's own methods do.
    """
    summary = _attempt(lambda: _summary(exception), type(exception).__name__)
    text = _attempt(lambda: format_exception(exception), '')
    file, line = _attempt(lambda: _place(exception), ('', 0))
    return _plain(summary), _plain(text), _plain(file), line


def format_exception(exception):
    """As Python prints it, without the frames of this package; '' when no other frame is left and the summary tells all."""
    described = traceback.TracebackException(type(exception), exception, exception.__traceback__)
    _leave_out_own_frames(described)
    lonely = not described.stack and described.__cause__ is None and described.__context__ is None
    if lonely and not isinstance(exception, SyntaxError) and getattr(described, 'exceptions', None) is None:
        return ''
    text = ''.join(described.format())
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + '\n… (shortened)\n' + text[-LONGEST // 2 :]
    return text.rstrip('\n')


def _leave_out_own_frames(described):
    waiting = [described]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = _without_own(one.stack)
        waiting += [one.__cause__, one.__context__, *(getattr(one, 'exceptions', None) or ())]


def _without_own(stack):
    """Nor those of importlib, by which this package runs scripts."""
    frames = list(stack)
    while frames and (is_own(frames[0].filename) or frames[0].filename.startswith('<frozen importlib')):
        del frames[0]
    return [frame for frame in frames if not is_own(frame.filename)]


def is_own(file):
    return file.startswith(OWN_FOLDER)


def _summary(exception):
    kind = type(exception)
    # Exceptions of this package say it all in their text.
    if kind.__module__.startswith(__package__):
        return str(exception)
    name = kind.__qualname__ if kind.__module__ in ('builtins', '__main__') else f'{kind.__module__}.{kind.__qualname__}'
    try:
        text = str(exception)
    except Exception:
        text = '<str() failed>'
    return f'{name}: {text}' if text else name


def _place(exception):
    if isinstance(exception, SyntaxError) and exception.filename:
        return str(exception.filename), exception.lineno or 0
    frames = [(at.tb_frame.f_code.co_filename, at.tb_lineno) for at in _tracebacks(exception.__traceback__)]
    frames = [frame for frame in frames if not is_own(frame[0]) and not frame[0].startswith('<frozen ')]
    for file, line in reversed(frames):
        if not is_library(file):
            return file, line or 0
    return (frames[-1][0], frames[-1][1] or 0) if frames else ('', 0)


def is_library(file):
    installed = f'{os.sep}site-packages{os.sep}' in file or f'{os.sep}dist-packages{os.sep}' in file
    return installed or file.startswith(LIBRARY_FOLDERS) or file.startswith('<')


def _tracebacks(at):
    while at is not None:
        yield at
        at = at.tb_next


def _plain(text):
    """What every consumer can encode: no lone surrogates."""
    return text.encode('utf-8', 'backslashreplace').decode()


def _attempt(function, otherwise):
    try:
        return function()
    except Exception:
        return otherwise
