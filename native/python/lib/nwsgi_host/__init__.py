"""The Python side of nwsgi: what the C++ host (native/python) calls, and what it puts in place before applications run.

Imported once for each interpreter, by its first thread, before any script. Runs on Python 3.9 and newer.
"""

from . import children, events, faults, loader, logs, paths, server, signals, streams
from .server import RequestTimeout

__all__ = ['RequestTimeout', 'faults', 'finish', 'loader', 'prepare']


def prepare(options):
    """Makes the interpreter ready for applications. `options` as made by mod_wsgi.cc."""
    streams.install(options['restrict_stdin'], options['restrict_stdout'])
    logs.install()
    signals.install(options['restrict_signal'], options['is_main'], options['process_group'] != '')
    children.install(options['is_main'])
    server.install(options)
    loader.install()
    paths.add_in_front(options['path'])


def finish(reason):
    """The interpreter ends: whoever wants to know is told. Threads and atexit are CPython's own business."""
    events.process_stopping(reason)
    streams.flush()
