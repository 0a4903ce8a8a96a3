"""Runs scripts as modules of their own, each once for each interpreter and version of its file."""

import importlib.machinery
import importlib.util
import os
import sys
import threading
import types

from . import server

try:
    # hashlib would load all of OpenSSL.
    from _md5 import md5
except ImportError:
    from hashlib import md5

# Also tells code that it runs here: __name__.startswith('_mod_wsgi_').
PREFIX = '_mod_wsgi_'


class ApplicationMissing(Exception):
    """The script has no callable of the name that was asked for."""

    _nwsgi_problem = 'callableMissing'


class ScriptLoader(importlib.machinery.SourceFileLoader):
    """Scripts leave no bytecode behind: shop.wsgi and shop.py would share it."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class Finder:
    """Finds what has been loaded here again, for importlib.reload() and the like."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        script = _scripts.get(name) if name.startswith(PREFIX) else None
        return None if script is None else spec_of(script.path)


class Script:
    """A script's file; `lock` is held while it runs."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.RLock()
        self.stamp = None
        self.module = None


_scripts = {}
_scripts_lock = threading.Lock()


def install():
    sys.meta_path.append(Finder)


def name_of(path):
    digest = md5(os.fsencode(path), usedforsecurity=False)
    return PREFIX + digest.hexdigest()


def spec_of(path):
    name = name_of(path)
    return importlib.util.spec_from_file_location(name, path, loader=ScriptLoader(name, path))


def load(path, environment, callable_name, callable_needed, application_group):
    """Returns the application callable of the script, or None where none is needed and none is there.

    All are bytes, as the configuration has them; `environment` is NAME=value joined by NUL.
    """
    path, callable_name, application_group = map(os.fsdecode, (path, callable_name, application_group))
    add_environment(environment)
    server.enter_group(application_group)
    module = load_script(path)
    application = getattr(module, callable_name, None) if callable_name else None
    if callable(application):
        return application
    if callable_needed:
        raise ApplicationMissing(_missing(path, module, callable_name, application))
    return None


def add_environment(environment):
    for setting in environment.split(b'\0'):
        name, equals, value = setting.partition(b'=')
        if name and equals:
            os.environb[name] = value


def load_script(path):
    name = name_of(path)
    with _scripts_lock:
        script = _scripts.setdefault(name, Script(path))
    with script.lock:
        # Before the file is read: a change meanwhile is seen with the next load.
        stamp = stamp_of(path)
        if script.module is not None and script.stamp == stamp:
            return script.module
        module = run(path)
        script.module, script.stamp = module, stamp
        return module


def stamp_of(path):
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def run(path):
    """Runs the script as a new module, which takes the former one's place in sys.modules unless it fails."""
    spec = spec_of(path)
    module = types.ModuleType(spec.name)
    module.__file__ = path
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__package__ = ''
    former = sys.modules.get(spec.name)
    sys.modules[spec.name] = module
    try:
        exec(spec.loader.get_code(spec.name), module.__dict__)
    except BaseException:
        if former is None:
            sys.modules.pop(spec.name, None)
        else:
            sys.modules[spec.name] = former
        raise
    # A script may put something else there, as modules may.
    return sys.modules.get(spec.name, module)


def _missing(path, module, name, found):
    if found is not None:
        return f'{path}: {name} is no callable, but of type {type(found).__name__}'
    candidates = [other for other, value in vars(module).items() if other in ('application', 'app', 'create_app', 'wsgi') and callable(value)]
    hint = f'; it has {candidates[0]}: WSGICallableObject {candidates[0]}' if candidates and candidates[0] != 'create_app' else ''
    return f'{path} has no {name}{hint}'
