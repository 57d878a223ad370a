"""OCI hooks of a container, from the directories of --hooks-dir and containers.conf."""

import os

from podlike.engine.core import Engine
from podlike.errors import ConfigError
from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.spec.hooks import HookFile


def hooks_of(engine: Engine, spec: ContainerSpec) -> "dict[str, list[dict[str, Any]]]":
    """config.json's hooks. A directory that is not there holds no hooks. Raises: ConfigError."""
    paths: dict[str, str] = {}
    for directory in spec.hooks_dirs or engine.config.engine.hooks_dir:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as e:
            raise ConfigError(f"read OCI hooks in {directory}: {e.strerror}",
                              hint="Give yourself access, or leave the directory away.") from None
        # A later directory replaces files of the same name; all run in the order of their names.
        paths.update((name, f"{directory}/{name}") for name in names if name.endswith(".json"))
    if not paths:
        return {}
    from podlike.spec.hooks import hooks_for

    return hooks_for([_read(paths[name]) for name in sorted(paths, key=str.lower)], command=spec.args[0],
                     annotations=spec.annotations, bind_mounts=any(m.type == "bind" for m in spec.mounts))


def _read(path: str) -> "HookFile":
    import json

    from podlike.files import read_text
    from podlike.spec.hooks import parse_hook_file

    try:
        return parse_hook_file(json.loads(read_text(path)), path)
    except (OSError, ValueError) as e:
        raise ConfigError(f"read OCI hook {path}: {e}", hint="Write the file as oci-hooks(5) says.") from None
