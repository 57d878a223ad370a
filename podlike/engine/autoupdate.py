"""auto-update: units whose containers' images have a newer version are restarted with it, and put back if they fail.

A container says so itself, by the label io.containers.autoupdate: `registry` compares with the digest that the registry has
for the name, `local` with the image that the name stands for here. Its unit must make the container anew when it is
restarted, as those of `generate systemd --new` and Quadlet do. Source: podman-auto-update(1).
"""

from podlike import log
from podlike.engine import events, images, query, systemctl
from podlike.errors import NotFoundError, PodlikeError, RegistryError, UsageError
from podlike.spec.events import Event
from podlike.spec.unittext import UNIT_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple

    from podlike.engine.core import Engine
    from podlike.engine.fetch import Progress
    from podlike.registry.client import Manifest as Received
    from podlike.spec.reference import Reference
    from podlike.store.containers import Container
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

LABEL: "Final" = "io.containers.autoupdate"
AUTHFILE_LABEL: "Final" = "io.containers.autoupdate.authfile"
# As they are written -> as they are shown; "" and disabled: no updates.
POLICIES: "Final" = {"": "disabled", "disabled": "disabled", "image": "registry", "registry": "registry", "local": "local"}
FAILED, UPDATED, CURRENT, PENDING, ROLLED_BACK = "failed", "true", "false", "pending", "rolled back"


class Wishes(NamedTuple):
    """What `auto-update` was asked for. authfile, tls_verify: as in engine/pull.py."""

    dry_run: bool = False
    rollback: bool = True
    authfile: str | None = None
    tls_verify: bool | None = None


class Task:
    """One container and what became of it. status: one of the words above."""

    __slots__ = ("authfile", "container", "image", "name", "policy", "status", "unit")

    def __init__(self, container: "Container", image: "Image", *, policy: str, unit: str, authfile: str | None) -> None:
        self.container = container
        self.image = image  # that it runs with
        self.name = container.spec.image  # as it was typed
        self.policy = policy
        self.unit = unit
        self.authfile = authfile
        self.status = FAILED


def auto_update(engine: "Engine", wishes: Wishes, progress: "Progress") -> tuple[list[Task], list[PodlikeError]]:
    """Update what is to be updated. One that fails holds up no other: it is among the errors."""
    run = _Run(engine, wishes, progress)
    units: dict[str, list[Task]] = {}
    for container in query.all_containers(engine):
        try:
            task = run.task_of(container)
        except PodlikeError as e:
            run.errors.append(e)
            continue
        if task is not None:
            units.setdefault(task.unit, []).append(task)
    if units:
        events.emit(engine, Event("system", "auto-update"))
    for unit, tasks in units.items():
        run.update_unit(unit, tasks)
    return [task for tasks in units.values() for task in tasks], run.errors


class _Run:
    """One call: what was asked for, what was pulled, what went wrong."""

    def __init__(self, engine: "Engine", wishes: Wishes, progress: "Progress") -> None:
        self.engine = engine
        self.wishes = wishes
        self.progress = progress
        self.errors: list[PodlikeError] = []
        self.pulled: set[str] = set()  # names whose newer image is here by now, for the next container that has it

    # --- which containers ---

    def task_of(self, container: "Container") -> Task | None:
        """None: it is not to be updated. Raises: PodlikeError for one that cannot be."""
        labels = container.spec.labels
        if LABEL not in labels or query.status(self.engine, container).state != "running":
            return None
        policy = _policy(container, labels[LABEL])
        if policy == "disabled":
            return None
        unit = self._unit_of(container)
        image = self.engine.images.get(container.image or "")
        if image is None or not container.spec.image:
            raise NotFoundError(f'auto-updating container "{container.id}": it runs with no image',
                                hint=f"Take the label {LABEL} away, or run it with an image.")
        return Task(container, image, policy=policy, unit=unit, authfile=labels.get(AUTHFILE_LABEL) or self.wishes.authfile)

    def _unit_of(self, container: "Container") -> str:
        """A pod's is restarted as a whole."""
        unit = container.spec.labels.get(UNIT_VARIABLE, "")
        pod = self.engine.pods.get(container.spec.pod) if container.spec.pod else None
        if pod is not None:
            infra = self.engine.containers.get(pod.state.infra)
            unit = infra.state.unit if infra else ""
        if not unit:
            raise UsageError(f'auto-updating container "{container.id}": no {UNIT_VARIABLE} label found',
                             hint="Run it in a unit of `podlike generate systemd --new` or of Quadlet.")
        return whole_unit(unit)

    # --- one unit ---

    def update_unit(self, unit: str, tasks: list[Task]) -> None:
        newer = [self._prepare(task) for task in tasks]  # of all of them, before the unit goes down once
        if not any(newer):
            return
        try:
            systemctl.restart(unit)
        except PodlikeError as e:
            self._failed(unit, tasks, e)
            return
        for task in tasks:
            task.status = UPDATED

    def _prepare(self, task: Task) -> bool:
        """Have the newer image here. False: there is none, or it cannot be had, or it is not to be had."""
        what = f"checking image updates for container {task.container.id}"
        try:
            if not self._outdated(task):
                task.status = CURRENT
                return False
            if self.wishes.dry_run:
                task.status = PENDING
                return False
            what = f"updating image for container {task.container.id}"
            self._fetch(task)
        except PodlikeError as e:
            self._note(what, e)
            return False
        return True

    def _outdated(self, task: Task) -> bool:
        if task.policy == "local":
            return images.resolve(self.engine, task.name).id != task.image.id
        return task.name in self.pulled or self._differs(_reference(task.name), task)

    def _differs(self, reference: "Reference", task: Task) -> bool:
        """Whether a registry has another image under this name; its manifest is fetched only if the digest is not known.

        Raises: NotFoundError, RegistryError, ConfigError for a blocked registry.
        """
        from podlike.engine.connect import connect
        from podlike.engine.pull import PullOptions
        from podlike.registries_conf import load_registries_conf

        options = PullOptions(tls_verify=self.wishes.tls_verify, authfile=task.authfile)
        places = load_registries_conf().pull_sources(reference.repository, by_digest=reference.digest is not None)
        primary = places[-1].repository.partition("/")[0]
        for n, place in enumerate(places):
            client, path = connect(self.engine, place.repository, options, insecure=place.insecure, primary=primary)
            try:
                digest = client.manifest_digest(path, reference.identifier)
                return digest not in _digests(task.image) and _is_another(client.manifest(path, digest), task.image)
            except (NotFoundError, RegistryError):
                if n == len(places) - 1:
                    raise
            finally:
                client.close()
        return False

    def _fetch(self, task: Task) -> None:
        if task.policy == "local" or task.name in self.pulled:
            return
        from podlike.engine.pull import pull

        pull(self.engine, task.name, policy="always", authfile=task.authfile, tls_verify=self.wishes.tls_verify,
             progress=self.progress)
        self.pulled.add(task.name)

    def _failed(self, unit: str, tasks: list[Task], why: PodlikeError) -> None:
        """The unit does not come up with the newer images: back to the old ones, unless that is not wanted."""
        for task in tasks:
            task.status = FAILED
        if not self.wishes.rollback:
            self._note(f"restarting unit {unit} during update", why)
            return
        log.info(f"restarting unit {unit} during update: {why.message}: going back")
        for task in tasks:
            try:
                images.tag(self.engine, task.image.id, [task.container.spec.image_name or task.name])
                self.pulled.discard(task.name)
            except PodlikeError as e:
                self._note(f"rolling back image for container {task.container.id} in unit {unit}", e)
        try:
            systemctl.restart(unit)
        except PodlikeError as e:
            self._note(f"restarting unit {unit} during rollback", e)
            return
        for task in tasks:
            task.status = ROLLED_BACK

    def _note(self, what: str, why: PodlikeError) -> None:
        why.message = f"{what}: {why.message}"
        why.args = (why.message,)
        self.errors.append(why)


def _policy(container: "Container", text: str) -> str:
    """Raises: UsageError."""
    # Quotes around nothing are what a shell's or a unit's line leaves of an empty value; podman's units lose them on their way.
    found = POLICIES.get("" if text in ("''", '""') else text)
    if found is None:
        valid = " ".join(f'"{word}"' for word in sorted(filter(None, POLICIES)))
        raise UsageError(f'auto-updating container "{container.id}": invalid auto-update policy "{text}": valid policies are '
                         f"[{valid}]", hint=f"Make container {container.name} anew with another label {LABEL}.")
    return found


def whole_unit(text: str) -> str:
    """The name of a unit in podman's spelling: those of --template have their instance in it twice, NAME@I.service-I."""
    name, dot, rest = text.rpartition(".service-")
    return f"{name}.service" if dot and name.endswith(f"@{rest}") else text


def _reference(name: str) -> "Reference":
    from podlike.spec.reference import parse_reference

    return parse_reference(name.removeprefix("docker://"))


def _digests(image: "Image") -> list[str]:
    from podlike.engine.imagefilters import digests_of

    return digests_of(image)


def _is_another(got: "Received", image: "Image") -> bool:
    """Whether this manifest, or the one in this index for the image's platform, is of another image."""
    from podlike.spec.image import ImageConfig, Index, Platform, choose_platform, parse_manifest

    document = parse_manifest(got.data, got.media_type)
    if isinstance(document, Index):
        config = ImageConfig.from_dict(image.config)
        entry = choose_platform(document.manifests, Platform(config.os, config.architecture, config.variant))
        return entry.digest not in _digests(image)
    return document.config.digest != f"sha256:{image.id}"
