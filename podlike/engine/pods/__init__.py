"""Pods: containers that share namespaces, a cgroup and a fate.

    create.py      create(engine, spec): the record, and its infra container;  for_container: `run --pod new:NAME`
    members.py     join: what a container that is made in a pod shares and inherits;  find, members
    pause.py       the infra container that runs our own pause program: its bundle, and its start without a monitor
    clone.py       clone: a copy of a pod with copies of its containers
    actions.py     start, stop, restart, kill, pause, unpause;  exitpolicy.py  when the last container has ended
    remove.py      remove, prune; sweep of what killed commands left
    rows.py, inspect.py    as `pod ps` and `pod inspect` show them
"""
