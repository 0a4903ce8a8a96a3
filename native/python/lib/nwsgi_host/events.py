"""Events of requests and of the process, for functions given to mod_wsgi.subscribe_events() and for the metrics.

The host calls the functions whose names are those of events, as long as anybody listens (_nwsgi.listen()).
"""

import threading
import time

import _nwsgi

from . import streams

event_callbacks = []
shutdown_callbacks = []
# Objects with started(request) and finished(request, event): the metrics.
recorders = []

# What the host calls by another name than mod_wsgi; the others are the same.
SHUTDOWN_REASONS = {'shutdown': 'shutdown_signal', 'graceful_shutdown': 'graceful_signal', 'reload': 'eviction_signal'}

_running = {}
_listening = False
_lock = threading.Lock()


class Running:
    """What is known of a request from its start to its end."""

    __slots__ = ('application_start', 'cpu', 'daemon_start', 'data', 'queue_start', 'request_id', 'request_start', 'server_pid', 'thread_id')

    def __init__(self, request_id, data, environ, thread_id):
        self.request_id = request_id
        self.data = data
        self.application_start = time.time()
        self.request_start = _seconds(environ.get('mod_wsgi.request_start'), self.application_start)
        self.queue_start = _seconds(environ.get('mod_wsgi.queue_start'), 0.0)
        self.daemon_start = _seconds(environ.get('mod_wsgi.daemon_start'), 0.0)
        self.thread_id = thread_id
        self.server_pid = environ.get('mod_wsgi.server_pid')
        self.cpu = _nwsgi.thread_times()

    def identity(self):
        return {'request_id': self.request_id, 'thread_id': self.thread_id, 'request_data': self.data}

    def times(self):
        return {
            'request_start': self.request_start,
            'queue_start': self.queue_start,
            'daemon_start': self.daemon_start,
            'application_start': self.application_start,
        }


def subscribe_events(callback):
    """Has every event told to callback(name, **event). Returns it, so that it can be used as a decorator."""
    event_callbacks.append(callback)
    listen()
    return callback


def subscribe_shutdown(callback):
    """Has the event process_stopping told to callback(name, **event). Returns it."""
    shutdown_callbacks.append(callback)
    return callback


def listen():
    global _listening
    with _lock:
        if not _listening:
            _nwsgi.listen()
            _listening = True


def publish(name, event, callbacks):
    """Calls them one after the other; what one of them returns as a dict the later ones get, too."""
    for callback in list(callbacks):
        try:
            changes = callback(name, **event)
        except Exception as error:
            streams.log_described(f'The function that is told of the event {name} failed', error)
            continue
        if isinstance(changes, dict):
            event.update(changes)
    return event


def request_started(key, request_id, data, environ, application, callable_name, thread_id):
    """Returns the callable to be called."""
    running = _running[key] = Running(request_id, data, environ, thread_id)
    for recorder in recorders:
        recorder.started(running)
    if not event_callbacks:
        return application
    event = {
        **running.identity(),
        **running.times(),
        'server_pid': running.server_pid,
        'daemon_connects': 1 if running.queue_start else 0,
        'daemon_restarts': 0,
        'request_environ': environ,
        'application_object': application,
        'callable_object': callable_name,
    }
    return publish('request_started', event, event_callbacks)['application_object']


def response_started(key, status, headers, exc_info):
    running = _running.get(key)
    if running is None or not event_callbacks:
        return
    event = {'response_status': status, 'response_headers': headers, 'exception_info': exc_info}
    publish('response_started', {**running.identity(), **event}, event_callbacks)


def request_failed(key, exception):
    running = _running.get(key)
    if running is None or not event_callbacks:
        return
    info = (type(exception), exception, exception.__traceback__)
    publish('request_exception', {**running.identity(), 'exception_info': info}, event_callbacks)


def request_finished(key, status, input_reads, input_length, output_writes, output_length):
    running = _running.pop(key, None)
    # None: it had begun before anybody listened.
    if running is None:
        return
    now = time.time()
    user, system = (after - before for after, before in zip(_nwsgi.thread_times(), running.cpu))
    event = {
        **running.identity(),
        **running.times(),
        'application_finish': now,
        'application_time': now - running.application_start,
        'input_reads': input_reads,
        'input_length': input_length,
        'output_writes': output_writes,
        'output_length': output_length,
        'status': status,
        'cpu_user_time': user,
        'cpu_system_time': system,
        'cpu_time': user + system,
    }
    for recorder in recorders:
        recorder.finished(running, event)
    if event_callbacks:
        publish('request_finished', event, event_callbacks)


def process_stopping(reason):
    reason = SHUTDOWN_REASONS.get(reason, reason)
    publish('process_stopping', {'shutdown_reason': reason}, event_callbacks)
    publish('process_stopping', {'shutdown_reason': reason}, shutdown_callbacks)


def _seconds(value, otherwise):
    """environ has them as text, in microseconds."""
    if isinstance(value, str):
        return int(value) / 1e6 if value.isdigit() else otherwise
    return otherwise if value is None else float(value)
