"""Where podlike-spawn runs from: its own file where containers cannot reach that, else a copy (CVE-2019-5736)."""

import os
import shutil
import stat

from tests.support.box import Box
from tests.support.need import need


def runs_from(box: Box) -> str:
    """/proc/PID/exe of the process that makes a container, as a hook sees it."""
    seen = f"{box.dir}/exe"
    script = f"readlink /proc/$PPID/exe > {seen}"
    box.spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    p = box.run("true")
    assert (p.returncode, p.stderr) == (0, "")
    with open(seen) as f:
        return f.read().strip()


def test_a_file_of_root_is_run_as_it_is(direct_box: Box) -> None:
    st = os.stat(direct_box.runtime)
    need(
        st.st_uid == 0 and not st.st_mode & (stat.S_IWGRP | stat.S_IWOTH),
        "podlike-spawn does not belong to root here",
        optional=True,
    )
    assert runs_from(direct_box) == os.path.realpath(direct_box.runtime)


def test_a_file_of_the_user_is_copied_first(direct_box: Box) -> None:
    mine = f"{direct_box.dir}/podlike-spawn"
    shutil.copy(direct_box.runtime, mine)
    direct_box.runtime = mine
    assert runs_from(direct_box).startswith("/memfd:")


def test_a_file_that_others_may_write_is_not_trusted(direct_box: Box) -> None:
    mine = f"{direct_box.dir}/podlike-spawn"
    shutil.copy(direct_box.runtime, mine)
    os.chmod(mine, 0o777)
    direct_box.runtime = mine
    assert runs_from(direct_box) != mine
