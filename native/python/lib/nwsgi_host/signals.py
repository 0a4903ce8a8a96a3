"""Signals of the process are the server's (WSGIRestrictSignal On, the default); in children that Python forks they are the application's."""

import os
import signal
import traceback

import _nwsgi

try:
    import faulthandler
except ImportError:  # an interpreter with a lock of its own cannot load it
    faulthandler = None

from . import faults
from .levels import WARNING

_original = {}
# What the server, or Node in a worker, acts on. Threads of Python leave these to it.
SERVERS = frozenset(
    getattr(signal, name)
    for name in ('SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGPIPE', 'SIGALRM', 'SIGPROF', 'SIGVTALRM', 'SIGCHLD')
    if hasattr(signal, name)
)


def install(restricted, is_main, in_process_group):
    if restricted:
        _replace(signal, signal=_ignore_handler, alarm=_ignore_alarm, setitimer=_ignore_timer)
        if faulthandler is not None:
            _replace(faulthandler, register=_ignore_dump)
    _replace(signal, pthread_sigmask=_change_mask)
    if in_process_group:
        _replace(os, kill=_kill)
    if is_main:
        os.register_at_fork(after_in_child=_restore)


def _replace(module, **functions):
    for name, function in functions.items():
        original = _original[module, name] = getattr(module, name)
        function.__name__ = function.__qualname__ = name
        function.__doc__ = original.__doc__
        setattr(module, name, function)


def _restore():
    """In a child that was forked off (multiprocessing, os.fork): its signals are its own."""
    for (module, name), function in _original.items():
        setattr(module, name, function)


def _ignore_handler(signalnum, handler):
    _warn(f'signal.signal({_name(signalnum)}) is ignored')
    return signal.getsignal(signalnum)


def _ignore_alarm(seconds):
    _warn(f'signal.alarm({seconds}) is ignored: SIGALRM would end the process')
    return 0


def _ignore_timer(which, seconds, interval=0.0):
    _warn(f'signal.setitimer({which}, {seconds}) is ignored: its signal would end the process')
    return (0.0, 0.0)


def _ignore_dump(signum, *_, **__):
    _warn(f'faulthandler.register({_name(signum)}) is ignored')


def _kill(pid, sig):
    """As os.kill(). SIGINT to this process is mod_wsgi's way of having it replaced; here that is SIGTERM."""
    if pid == os.getpid() and sig == signal.SIGINT:
        sig = signal.SIGTERM
    return _original[os, 'kill'](pid, sig)


def _change_mask(how, mask):
    """As signal.pthread_sigmask(), but the server's signals stay blocked: their handlers must not run on this thread."""
    mask = set(mask)
    if how == signal.SIG_UNBLOCK:
        mask -= SERVERS
    elif how == signal.SIG_SETMASK:
        mask |= SERVERS
    return _original[signal, 'pthread_sigmask'](how, mask)


def _name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _warn(what):
    frames = [frame for frame in traceback.extract_stack() if not faults.is_own(frame.filename)]
    place = ''.join(traceback.format_list(frames)).rstrip('\n')
    _nwsgi.log(WARNING, f'NWSGI2608 {what}: signals of this process belong to the server (WSGIRestrictSignal Off would allow it)\n{place}')
