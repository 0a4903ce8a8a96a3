"""Processes that applications start begin with no signal blocked, so that terminate() and the like reach them.

The host's threads have all signals blocked, and a child inherits that. The host undoes it in a child of fork() (fork_guard.h), which
neither vfork() nor posix_spawn() passes by: so subprocess is kept from the former, and posix_spawn() is told a mask.
"""

import functools
import os
import subprocess
import sys


def install(is_main):
    if hasattr(subprocess, '_USE_VFORK'):
        subprocess._USE_VFORK = False
    elif is_main and sys.version_info >= (3, 10):
        _keep_from_vfork()
    # subprocess itself prefers it for commands without close_fds.
    if hasattr(subprocess, '_USE_POSIX_SPAWN'):
        subprocess._USE_POSIX_SPAWN = False
    for name in ('posix_spawn', 'posix_spawnp'):
        if hasattr(os, name):
            setattr(os, name, _with_empty_mask(getattr(os, name)))
    os.system = system
    if not is_main:
        os.fork = os.forkpty = refuse_fork


def refuse_fork():
    """In the place of os.fork(): CPython ends the child of any but the main interpreter with a fatal error."""
    raise RuntimeError(
        'fork is possible in the main interpreter only: use subprocess, multiprocessing with the start method "spawn", '
        'WSGIApplicationGroup %{GLOBAL}, or a process group (WSGIDaemonProcess)'
    )


def _keep_from_vfork():
    execute = subprocess.Popen._execute_child

    @functools.wraps(execute)
    def execute_by_fork(self, args, executable, preexec_fn, *rest):
        return execute(self, args, executable, preexec_fn or _nothing, *rest)

    subprocess.Popen._execute_child = execute_by_fork


def _nothing():
    """A function to be called in the child, which is only possible in one of fork()."""


def _with_empty_mask(spawn):
    @functools.wraps(spawn)
    def spawn_with_empty_mask(path, argv, env, **options):
        options.setdefault('setsigmask', ())
        return spawn(path, argv, env, **options)

    return spawn_with_empty_mask


def system(command):
    """As os.system(): runs the command by the shell and returns its wait status."""
    sys.audit('os.system', os.fsencode(command))
    process = subprocess.Popen(command, shell=True, close_fds=False)
    status = os.waitpid(process.pid, 0)[1]
    process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    return status
