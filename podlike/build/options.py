"""What `build` was asked for."""

from podlike.spec.container import ContainerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NamedTuple

    from podlike.build.mounts import Secret
    from podlike.spec.image import Platform
else:
    from podlike.spec.record import NamedTuple


class Options(NamedTuple):
    """context: directory, URL, "-" (standard input), or "" (none: nothing may be copied from it).
    files: of -f, as typed. names: what the image is called. target: of the stage that is wanted, "" the last.
    layers: each step is a layer, and may be taken from an earlier build; False: one layer for a stage. squash: "", new (what
    is above the base becomes one layer), all. epoch: Unix seconds for all times, None: now. docker_format: of the manifest.
    run: limits, network, capabilities ... of RUN. base: image instead of the last FROM's. registry: of pull(), by its
    names. progress: see engine/pull.py. say: gets each line for the user.
    """

    context: str
    files: "Sequence[str]" = ()
    names: "Sequence[str]" = ()
    target: str = ""
    args: "Mapping[str, str]" = {}
    contexts: "Mapping[str, str]" = {}
    labels: "Mapping[str, str]" = {}
    annotations: "Mapping[str, str]" = {}
    env: "Mapping[str, str]" = {}
    unset_env: "Sequence[str]" = ()
    unset_labels: "Sequence[str]" = ()
    inherit_labels: bool = True
    identity_label: bool = True
    platform: "Platform | None" = None
    pull: str = "missing"
    ignore_file: str = ""
    layers: bool = True
    cache: bool = True
    squash: str = ""
    epoch: int | None = None
    omit_history: bool = False
    docker_format: bool = False
    skip_unused_stages: bool = True
    base: str = ""
    secrets: "Mapping[str, Secret]" = {}
    agents: "Mapping[str, str]" = {}
    run: ContainerSpec = ContainerSpec()
    registry: "Mapping[str, Any]" = {}
    progress: "Any" = None
    say: "Callable[[str], None]" = lambda line: None
