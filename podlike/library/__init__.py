"""`from podlike import Engine`: the verbs of the command line for Python programs, see docs/LIBRARY.md.

    engine.py                       Engine: the store, one core for each thread, and what groups its verbs
    calling.py                      where a verb runs: here, or in a process of its own
    child.py, worker.py             that process, seen from its parent and from inside
    containers.py, images.py ...    the verbs; the command line calls the same methods
    request.py, results.py          keywords -> ContainerSpec; what `run` and `exec` return
"""
