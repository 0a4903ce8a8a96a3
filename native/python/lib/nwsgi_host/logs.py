"""The logging module's levels reach Apache's error log: also by handlers that know nothing of it."""

import functools
import logging

import _nwsgi

from . import levels


def install():
    handle = logging.Handler.handle
    if getattr(handle, '_nwsgi', False):
        return

    @functools.wraps(handle)
    def handle_with_level(self, record):
        # Whatever the handler and its stream are (Flask's is a proxy of wsgi.errors): only our own streams look at it.
        former = _nwsgi.log_level(levels.of_logging(record.levelno))
        try:
            return handle(self, record)
        finally:
            _nwsgi.log_level(former)

    handle_with_level._nwsgi = True
    logging.Handler.handle = handle_with_level


class LogHandler(logging.Handler):
    """Writes records to Apache's error log, with their level and the id of the request that the thread serves."""

    def emit(self, record):
        try:
            text = self.format(record)
            _nwsgi.log(levels.of_logging(record.levelno), text.encode('utf-8', 'backslashreplace').decode())
        except Exception:
            self.handleError(record)
