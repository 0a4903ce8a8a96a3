"""Folders of modules that the configuration names (python-path=, WSGIPythonPath)."""

import site
import sys


def add_in_front(folders):
    """Adds folders and what their .pth files name, all of it in front of sys.path, in their order."""
    before = list(sys.path)
    for folder in folders:
        # A folder that is there already is named to be in front, too.
        if folder in before:
            before.remove(folder)
            sys.path.remove(folder)
        site.addsitedir(folder)
    added = [entry for entry in sys.path if entry not in before]
    sys.path[:] = added + before
