"""mod_wsgi.request_metrics() and process_metrics(). Nothing is counted before somebody asks.

Times are those of the application, from its call to the end of its response; what the server did before and afterwards is not known
here, nor is how long threads waited for the GIL. Keys for such things are left out.
"""

import os
import resource
import threading
import time

import _nwsgi

from . import events

# 16 octaves from 1 ms on, four parts each; the last bucket is for 65.536 s and more.
BUCKETS = 65


def bucket_of(seconds):
    milliseconds = seconds * 1000
    if milliseconds < 1:
        return 0
    octave = min(int(milliseconds).bit_length() - 1, 16)
    if octave == 16:
        return BUCKETS - 1
    base = 1 << octave
    return octave * 4 + min(int((milliseconds - base) * 4 / base), 3)


class Window:
    """What was counted since the last request_metrics()."""

    def __init__(self, begin):
        self.begin = begin
        self.cpu = _process_times()
        self.count = 0
        self.busy = 0.0
        self.shortest = None
        self.longest = None
        self.buckets = [0] * BUCKETS
        self.totals = dict.fromkeys(('input_length', 'input_reads', 'output_length', 'output_writes'), 0)
        self.classes = [0] * 5
        self.threads = {}


class Recorder:
    def __init__(self, threads):
        self._lock = threading.Lock()
        self._most_threads = threads
        self._running = {}
        self._started = time.time()
        self._count = 0
        self._busy = 0.0
        self._by_thread = {}
        self._window = Window(self._started)

    def started(self, request):
        with self._lock:
            self._running[id(request)] = request

    def finished(self, request, event):
        duration = event['application_time']
        status = event['status'] or 500
        with self._lock:
            self._running.pop(id(request), None)
            window = self._window
            # A request that began in an earlier window: its time before this one has been counted there.
            self._count += 1
            self._busy += duration
            self._by_thread[request.thread_id] = self._by_thread.get(request.thread_id, 0) + 1
            window.count += 1
            window.busy += event['application_finish'] - max(request.application_start, window.begin)
            window.shortest = duration if window.shortest is None else min(window.shortest, duration)
            window.longest = duration if window.longest is None else max(window.longest, duration)
            window.buckets[bucket_of(duration)] += 1
            for key in window.totals:
                window.totals[key] += event[key]
            window.classes[min(max(status // 100, 1), 5) - 1] += 1
            window.threads[request.thread_id] = window.threads.get(request.thread_id, 0.0) + duration

    def request_metrics(self):
        now = time.time()
        with self._lock:
            window, self._window = self._window, Window(now)
            running = list(self._running.values())
            started = len(set(self._by_thread) | {request.thread_id for request in running})
        period = max(now - window.begin, 1e-9)
        busy = window.busy + sum(now - max(request.application_start, window.begin) for request in running)
        user, system = ((after - before) / period for after, before in zip(_process_times(), window.cpu))
        count = window.count
        mean = sum(window.threads.values()) / count if count else 0.0
        return {
            'pid': os.getpid(),
            'start_time': window.begin,
            'stop_time': now,
            'sample_period': period,
            'request_count': count,
            'request_throughput': count / period,
            'request_threads_maximum': self._most_threads,
            'request_threads_started': started,
            'request_threads_active': len(set(window.threads) | {request.thread_id for request in running}),
            'capacity_utilization': busy / (period * self._most_threads),
            'application_time': mean,
            'application_time_min_us': _microseconds(window.shortest),
            'application_time_max_us': _microseconds(window.longest),
            'application_time_buckets': window.buckets,
            'input_bytes': window.totals['input_length'],
            'input_reads': window.totals['input_reads'],
            'output_bytes': window.totals['output_length'],
            'output_writes': window.totals['output_writes'],
            **{f'status_{family}xx': number for family, number in enumerate(window.classes, 1)},
            'cpu_user_utilization': user,
            'cpu_system_utilization': system,
            'cpu_utilization': user + system,
            **_memory(),
        }

    def process_metrics(self):
        now = time.time()
        user, system = _process_times()
        with self._lock:
            running = list(self._running.values())
            threads = sorted(self._by_thread.items())
            count, busy = self._count, self._busy
        return {
            'pid': os.getpid(),
            'restart_time': _process_start(),
            'current_time': now,
            'running_time': int(now - _process_start()),
            'request_count': count,
            'request_busy_time': busy + sum(now - request.application_start for request in running),
            'request_threads': len(threads),
            'active_requests': len(_nwsgi.active_requests()),
            'cpu_user_time': user,
            'cpu_system_time': system,
            'cpu_time': user + system,
            **_memory(),
            'threads': [{'thread_id': thread, 'request_count': number} for thread, number in threads],
        }


_recorder = None


def recorder(threads):
    """The one of this interpreter; counting begins when it is first asked for."""
    global _recorder
    if _recorder is None:
        _recorder = Recorder(threads)
        events.recorders.append(_recorder)
        events.listen()
    return _recorder


def _process_times():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


def _microseconds(seconds):
    return None if seconds is None else int(seconds * 1e6)


def _memory():
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        with open('/proc/self/statm') as file:
            now = int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        now = most
    return {'memory_rss': now, 'memory_max_rss': max(most, now)}


def _process_start():
    """Seconds since the epoch; this process's, by the kernel."""
    with open('/proc/self/stat') as file:
        ticks = int(file.read().rpartition(')')[2].split()[19])
    with open('/proc/uptime') as file:
        uptime = float(file.read().split()[0])
    return time.time() - uptime + ticks / os.sysconf('SC_CLK_TCK')
