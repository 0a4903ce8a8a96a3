"""What applications import: mod_wsgi, and apache where no module of their own has that name."""

import importlib.machinery
import os
import re
import sys
import traceback
import types
from collections.abc import Mapping

import _nwsgi

from . import events, faults, logs, metrics
from .levels import WARNING

# The mod_wsgi whose module this one is like.
VERSION = (5, 0, 0)


class RequestTimeout(BaseException):
    """Raised in the thread of a request that takes longer than request-timeout. Clean up, and raise it again: the client gets 504."""

    _nwsgi_problem = 'pythonTimeout'


RequestTimeout.__module__ = 'mod_wsgi'


class ActiveRequests(Mapping):
    """The requests that are being served now, by id, each with its dict of request_data()."""

    def __getitem__(self, request_id):
        return _nwsgi.active_requests()[request_id]

    def __iter__(self):
        return iter(_nwsgi.active_requests())

    def __len__(self):
        return len(_nwsgi.active_requests())

    def items(self):
        return _nwsgi.active_requests().items()

    def values(self):
        return _nwsgi.active_requests().values()

    def copy(self):
        return _nwsgi.active_requests()

    def __repr__(self):
        return repr(_nwsgi.active_requests())


def request_data():
    """The dict of the request that this thread serves, for whatever the application and its subscribers want to keep there."""
    data = _nwsgi.request_data()
    if data is None:
        raise RuntimeError('this thread serves no request now')
    return data


def subscribe_signals(callback):
    """Takes the function and never calls it: signals of this process are not told to applications."""
    place = ''.join(traceback.format_list([frame for frame in traceback.extract_stack() if not faults.is_own(frame.filename)])).rstrip('\n')
    _nwsgi.log(WARNING, f'NWSGI2608 subscribe_signals() has no effect: signals are the server\'s and are not told to applications\n{place}')
    return callback


def start_recording_metrics():
    """Has requests counted for request_metrics() and process_metrics() from now on. These do so themselves, too."""
    metrics.recorder(_mod_wsgi.threads_per_process)


def request_metrics():
    """What was counted since the last call, or since counting began."""
    return metrics.recorder(_mod_wsgi.threads_per_process).request_metrics()


def process_metrics():
    """The process, and what was counted since counting began."""
    return metrics.recorder(_mod_wsgi.threads_per_process).process_metrics()


def server_metrics():
    """None, which in mod_wsgi, too, means that there is no access to the server's scoreboard."""


_mod_wsgi = None


class _ApacheFinder:
    """Offers the module apache when there is no other of this name."""

    module = None

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return importlib.machinery.ModuleSpec('apache', cls) if name == 'apache' and path is None else None

    @classmethod
    def create_module(cls, spec):
        return cls.module

    @staticmethod
    def exec_module(module):
        pass


def install(options):
    global _mod_wsgi
    _mod_wsgi = _module(
        'mod_wsgi',
        'What an application can ask of the server that runs it.',
        version=VERSION,
        process_group=options['process_group'],
        application_group=options['interpreter'],
        maximum_processes=options['processes'],
        threads_per_process=options['threads'],
        event_callbacks=events.event_callbacks,
        shutdown_callbacks=events.shutdown_callbacks,
        subscribe_events=events.subscribe_events,
        subscribe_shutdown=events.subscribe_shutdown,
        subscribe_signals=subscribe_signals,
        request_data=request_data,
        active_requests=ActiveRequests(),
        start_recording_metrics=start_recording_metrics,
        request_metrics=request_metrics,
        process_metrics=process_metrics,
        server_metrics=server_metrics,
        FileWrapper=_nwsgi.FileWrapper,
        RequestTimeout=RequestTimeout,
        LogHandler=logs.LogHandler,
    )
    sys.modules['mod_wsgi'] = _mod_wsgi
    software = options['server_software']
    _ApacheFinder.module = _module(
        'apache',
        'The server.',
        version=_apache_version(software),
        description=software,
        maximum_processes=options['processes'],
        threads_per_process=options['threads'],
    )
    sys.meta_path.append(_ApacheFinder)


def enter_group(application_group):
    """In a process group the main interpreter serves an application group, which has a name."""
    if _mod_wsgi.process_group and application_group:
        _mod_wsgi.application_group = application_group


def _module(name, doc, **attributes):
    module = types.ModuleType(name, doc)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, origin='nwsgi')
    vars(module).update(attributes)
    return module


def _apache_version(software):
    found = re.search(r'\bApache/(\d+)\.(\d+)\.(\d+)', software)
    return tuple(int(number) for number in found.groups()) if found else (0, 0, 0)
