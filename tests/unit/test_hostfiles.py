"""mounts.conf: copies of the host's files for every container."""

import os
from pathlib import Path

import pytest

from podlike.engine import hostfiles
from podlike.errors import ConfigError
from podlike.spec.container import ContainerSpec


def mounts(tmp_path: Path, text: str) -> dict[str, str]:
    conf = tmp_path / "mounts.conf"
    conf.write_text(text)
    return hostfiles.copied_mounts(ContainerSpec(mounts_file=str(conf)), str(tmp_path / "bundle"))


def test_files_and_directories_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "sub/key").write_text("secret")
    os.chmod(source / "sub/key", 0o600)
    os.symlink("/nowhere", source / "dead")
    os.mkfifo(source / "pipe")
    found = mounts(tmp_path, f"# comment\n\n{source}:/run/secrets\n{source}/sub/key\n/no/such:/x\nbad:/y\n{source}:rel\n")
    assert sorted(found) == ["/run/secrets", f"{source}/sub/key"]
    copy = Path(found["/run/secrets"])
    assert copy != source and (copy / "sub/key").read_text() == "secret"
    assert (copy / "sub/key").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(copy)) == ["sub"]
    (source / "sub/key").write_text("changed")
    assert (copy / "sub/key").read_text() == "secret"


def test_nothing_to_copy_makes_nothing(tmp_path: Path) -> None:
    assert mounts(tmp_path, "/no/such:/x\n") == {}
    assert hostfiles.copied_mounts(ContainerSpec(mounts_file="/no/such.conf"), str(tmp_path / "bundle")) == {}
    assert not (tmp_path / "bundle").exists()


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostfiles, "_FILES_LIMIT", 2)
    (tmp_path / "src").mkdir()
    for name in "abc":
        (tmp_path / "src" / name).touch()
    with pytest.raises(ConfigError, match="more than 2 files"):
        mounts(tmp_path, f"{tmp_path}/src:/x\n")
