"""The logging module's levels reach Apache's error log: also by handlers that only know a stream."""

import functools
import logging

import _nwsgi

from . import levels


def install():
    emit = logging.StreamHandler.emit
    if getattr(emit, '_nwsgi', False):
        return

    @functools.wraps(emit)
    def emit_with_level(self, record):
        # Whatever the stream is (Flask's is a proxy of wsgi.errors): only our own look at it.
        former = _nwsgi.log_level(levels.of_logging(record.levelno))
        try:
            emit(self, record)
        finally:
            _nwsgi.log_level(former)

    emit_with_level._nwsgi = True
    logging.StreamHandler.emit = emit_with_level


class LogHandler(logging.Handler):
    """Writes records to Apache's error log, with their level and the id of the request that the thread serves."""

    def emit(self, record):
        try:
            text = self.format(record)
            _nwsgi.log(levels.of_logging(record.levelno), text.encode('utf-8', 'backslashreplace').decode())
        except Exception:
            self.handleError(record)
