"""Pull: from a name that the user typed to an image in the store.

    name -> full names (registries.conf) -> places to ask (mirrors) -> manifest -> the platform's manifest
         -> config and layers, each verified -> one row in the database

Nothing is visible before the last step. What a failed pull leaves are complete blobs and layers, which the next
one finds, and unfinished blobs in tmp/, which it continues.
"""

import hashlib
import os

from podlike import log
from podlike.engine import events
from podlike.engine.connect import connect
from podlike.engine.fetch import Fetcher, Job, Progress, check_space
from podlike.engine.trusting import Trust
from podlike.errors import ConflictError, NotFoundError, PodlikeError, RegistryError, StoreError, UsageError
from podlike.registries_conf import load_registries_conf, record_alias
from podlike.spec.image import (
    MAX_CONFIG,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    choose_platform,
    host_platform,
    load_json,
    parse_config,
    parse_manifest,
    parse_platform,
    platform_rank,
)
from podlike.spec.reference import Reference, is_short, parse_reference, split_short
from podlike.spec.transport import parse_place
from podlike.store.origins import remember_origin
from podlike.trust.check import RejectedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, NamedTuple

    from podlike.engine.core import Engine
    from podlike.registries_conf import RegistriesConf
    from podlike.registry.client import Client
    from podlike.spec.image import Descriptor
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

POLICIES: "Final" = ("always", "missing", "never", "newer")
# An index may list indexes; real ones do not go deeper than two.
_MAX_INDEX_DEPTH: "Final" = 3


class PullOptions(NamedTuple):
    """How to pull.

    platform: OS/ARCH[/VARIANT], None: this machine's. tls_verify: None: as registries.conf says.
    creds: USER[:PASSWORD] instead of what is in authfile. retries: further tries after transient failures.
    retry_delay: seconds. choose: asks the user which of several full names a short one means.
    signature_policy: a policy.json instead of the user's or the system's.
    """

    platform: str | None = None
    tls_verify: bool | None = None
    creds: str | None = None
    authfile: str | None = None
    cert_dir: str | None = None
    retries: int | None = None
    retry_delay: float | None = None
    choose: "Callable[[Sequence[str]], str] | None" = None
    signature_policy: str | None = None


class _Source(NamedTuple):
    """What a registry said about a name. index_digest: "" where the tag names the manifest itself."""

    client: "Client"
    path: str
    manifest: Manifest
    raw: bytes
    digest: str
    index_digest: str
    config: ImageConfig
    config_raw: bytes


def pull(engine: "Engine", name: str, *, platform: str | None = None, tls_verify: bool | None = None,
         creds: str | None = None, authfile: str | None = None, cert_dir: str | None = None, policy: str = "always",
         retries: int | None = None, retry_delay: float | None = None,
         choose: "Callable[[Sequence[str]], str] | None" = None, signature_policy: str | None = None,
         progress: Progress | None = None) -> "Image":
    """Make an image available under its name and return it.

    name: as typed; short names are resolved by registries.conf.
    policy: always; missing: only if there is none here; never; newer: only if the registry has another one.
    For the others see PullOptions.
    Raises: UsageError, NotFoundError, RegistryError, StoreError, ConfigError.
    """
    if policy not in POLICIES:
        raise UsageError(f'unsupported pull policy "{policy}"')  # podman's line, and nothing below it, is what scripts compare
    options = PullOptions(platform, tls_verify, creds, authfile, cert_dir, retries, retry_delay, choose,
                          signature_policy)
    try:
        image = _pull(engine, name, options, policy, progress or Progress())
    except PodlikeError as e:
        events.image(engine, "pull-error", name=name, error=e.message)
        raise
    events.image(engine, "pull", id=image.id, name=name)
    return image


def _pull(engine: "Engine", name: str, options: PullOptions, policy: str, progress: Progress) -> "Image":
    place = parse_place(name)
    if place is not None and place.transport != "docker":
        from podlike.engine.pullfrom import pull_from

        return pull_from(engine, place, platform=options.platform, trust=Trust(options.signature_policy), progress=progress)
    text = _strip_transport(name)
    local = None if policy == "always" else _local(engine, text, options)
    if local is not None and policy in ("missing", "never"):
        return local
    if policy == "never":
        raise NotFoundError(f"{name}: image not known")  # the user forbade what a hint could say
    return _Pull(engine, options, progress).by_name(text, newer_than=local)


def pull_all_tags(engine: "Engine", name: str, *, options: PullOptions | None = None,
                  progress: Progress | None = None) -> "list[Image]":
    """Pull every tag of a repository. Raises: as pull()."""
    images = _Pull(engine, options or PullOptions(), progress or Progress()).all_tags(_strip_transport(name))
    for image in images:
        events.image(engine, "pull", id=image.id, name=name)
    return images


def shown_name(image: "Image", typed: str) -> str:
    """The full name that a typed one stands for, as docker prints it at the end of a pull."""
    place = parse_place(typed)
    if place is not None and place.transport != "docker":
        return next(iter(image.names), f"sha256:{image.id}")
    reference = parse_reference(place.reference if place else typed)
    return reference.name if reference.name in image.names or reference.digest else next(iter(image.names), image.id)


class _Pull:
    """One call of pull(): its options and the configuration it works with."""

    def __init__(self, engine: "Engine", options: PullOptions, progress: Progress) -> None:
        self._engine = engine
        self._options = options
        self._progress = progress
        self._conf: RegistriesConf = load_registries_conf()
        self._trust = Trust(options.signature_policy)
        self._platform: Platform = parse_platform(options.platform) if options.platform else host_platform()

    def by_name(self, text: str, *, newer_than: "Image | None" = None) -> "Image":
        references, chosen = _references(self._conf, text, self._options, self._progress)
        errors: list[PodlikeError] = []
        for reference in references:
            try:
                if newer_than is not None and self._is_current(reference, newer_than):
                    return newer_than
                self._progress.trying(reference.name)
                image = self._by_reference(reference)
            except (RegistryError, NotFoundError) as e:
                errors.append(e)
                continue
            if chosen:
                record_alias(*chosen)
            return image
        if newer_than is not None:
            log.warning(f"check for a newer {text}: {errors[-1].message}; using the image that is here")
            return newer_than
        raise _all_failed(errors)

    def all_tags(self, text: str) -> "list[Image]":
        references, _ = _references(self._conf, text, self._options, self._progress)
        if parse_reference(text).digest or ":" in text.rpartition("/")[2]:
            raise UsageError(f"tag can't be used with --all-tags/-a: {text}",
                             hint="Leave the tag out, or --all-tags.")
        reference = references[0]
        images: dict[str, Image] = {}
        place = self._conf.pull_sources(reference.repository, by_digest=False)[-1]
        client, path = self._client(place.repository, place.insecure, reference)
        try:
            tags = client.tags(path)
        finally:
            client.close()
        if not tags:
            raise NotFoundError(f"pull all tags of {reference.repository}: it has none")
        for tag in tags:
            tagged = reference._replace(tag=tag)
            self._progress.trying(tagged.name)
            image = self._by_reference(tagged)
            images[image.id] = image
        return list(images.values())

    # One reference

    def _by_reference(self, reference: Reference) -> "Image":
        """Ask the mirrors and the registry in turn."""
        socket = os.environ.get("NOTIFY_SOCKET", "")
        if not socket:
            return self._from_somewhere(reference)
        from podlike.engine.notify import LIMIT_SECONDS, MoreTime

        self._progress.note(f"Pulling image //{reference.name} inside systemd: setting pull timeout to {LIMIT_SECONDS // 60}m0s")
        with MoreTime(socket):
            return self._from_somewhere(reference)

    def _from_somewhere(self, reference: Reference) -> "Image":
        places = self._conf.pull_sources(reference.repository, by_digest=reference.digest is not None)
        for place in places[:-1]:
            try:
                return self._from_place(reference, place.repository, place.insecure)
            except (RegistryError, NotFoundError) as e:
                log.info(f"mirror {place.repository} did not serve {reference.name}: {e.message}")
        return self._from_place(reference, places[-1].repository, places[-1].insecure)

    def _from_place(self, reference: Reference, repository: str, insecure: bool) -> "Image":
        client, path = self._client(repository, insecure, reference)
        try:
            try:
                source = self._describe(client, path, reference)
            except (RegistryError, NotFoundError, StoreError) as e:
                step = "unable to copy from source" if isinstance(e, RejectedError) else "initializing source"
                e.message = f"{step} docker://{reference.name}: {e.message}"
                e.args = (e.message,)
                raise
            return self._store(reference, source)
        finally:
            client.close()

    def _client(self, repository: str, insecure: bool, reference: Reference) -> "tuple[Client, str]":
        primary = self._conf.pull_sources(reference.repository, by_digest=False)[-1].repository.partition("/")[0]
        return connect(self._engine, repository, self._options, insecure=insecure, primary=primary)

    def _is_current(self, reference: Reference, image: "Image") -> bool:
        """Whether the registry's tag still names the image that is here."""
        place = self._conf.pull_sources(reference.repository, by_digest=False)[-1]
        client, path = self._client(place.repository, place.insecure, reference)
        try:
            digest = client.manifest_digest(path, reference.identifier)
        finally:
            client.close()
        return reference.with_digest(digest).name in image.digests

    def _describe(self, client: "Client", path: str, reference: Reference) -> _Source:
        """Fetch manifest and config, the platform's ones."""
        got = client.manifest(path, reference.identifier)
        document = parse_manifest(got.data, got.media_type)
        index_digest = got.digest if isinstance(document, Index) else ""
        for _ in range(_MAX_INDEX_DEPTH):
            if isinstance(document, Manifest):
                break
            entry = choose_platform(document.manifests, self._platform)
            got = client.manifest(path, entry.digest)
            document = parse_manifest(got.data, entry.media_type)
        if isinstance(document, Index):
            raise RegistryError("its indexes are nested without end", hint="Report this to the owner of the image.")
        self._progress.reading()
        self._trust.check_pulled(client, path, reference, got.data, got.digest)
        raw = self._config(client, path, document.config)
        try:
            raw.decode()
        except UnicodeDecodeError as e:
            raise RegistryError(f"reading config {document.config.digest}: it is not UTF-8",
                                hint="Report this to the owner of the image.") from e
        config = parse_config(raw)
        self._check_fit(reference, document, config, named=not index_digest)
        return _Source(client, path, document, got.data, got.digest, index_digest, config, raw)

    def _config(self, client: "Client", path: str, descriptor: "Descriptor") -> bytes:
        if self._engine.blobs.has(descriptor.digest):
            return self._engine.blobs.read(descriptor.digest, limit=MAX_CONFIG)
        return client.small_blob(path, descriptor.digest, descriptor.size, limit=MAX_CONFIG)

    def _check_fit(self, reference: Reference, manifest: Manifest, config: ImageConfig, *, named: bool) -> None:
        if len(config.diff_ids) != len(manifest.layers):
            raise RegistryError(f"reading config {manifest.config.digest}: it has {len(config.diff_ids)} layers, "
                                f"the manifest {len(manifest.layers)}", hint="Report this to the owner of the image.")
        have = _platform_of(config)
        if named and platform_rank(self._platform, have) is None:
            log.warning(f"image platform ({have}) does not match the expected platform ({self._platform})")

    # Into the store

    def _store(self, reference: Reference, source: _Source) -> "Image":
        from podlike.store.locks import StoreLock

        engine = self._engine
        # Unpacking needs the user's subordinate ids; namespaces can only be joined while there is one thread.
        engine.enter_session()
        jobs = _jobs(source)
        layers, blobs = engine.layers, engine.blobs
        with StoreLock(engine.roots.tmp):
            missing = [job for job in jobs if not layers.has(job.diff_id)]
            # Compressed blobs are kept beside the trees, which are at least as large.
            check_space(engine.roots.tmp, sum(j.size for j in missing) + sum(j.size for j in jobs if not blobs.has(j.digest)),
                        reference.name)
            Fetcher(source.client, source.path, blobs=blobs, layers=layers, progress=self._progress,
                    parallel=engine.config.engine.image_parallel_copies).run(jobs)
            for job in missing:
                layers.index(layers.record(job.diff_id))
            self._progress.config(source.manifest.config.digest)
            config = blobs.write(source.config_raw)
            blobs.write(source.raw)
            for digest in (config, *(job.digest for job in jobs)):
                remember_origin(blobs.path(digest), f"{source.client.host}/{source.path}")
            self._progress.writing()
            return self._record(reference, source)

    def _record(self, reference: Reference, source: _Source) -> "Image":
        """One transaction makes the image exist."""
        engine = self._engine
        digests = [d for d in (source.index_digest, source.digest) if d]
        if reference.digest and reference.digest not in digests:
            digests.append(reference.digest)  # the same manifest by another algorithm
        diff_ids = source.config.diff_ids
        return engine.images.add(
            image_id=hashlib.sha256(source.config_raw).hexdigest(), manifest_digest=source.digest,
            config=source.config_raw, layers=diff_ids, size=sum(engine.layers.size(d) for d in diff_ids),
            names=[reference.with_digest(reference.digest).name if reference.digest else reference.name],
            digests=[reference.with_digest(d).name for d in digests])


def _references(conf: "RegistriesConf", text: str, options: PullOptions,
                progress: Progress) -> tuple[list[Reference], tuple[str, str] | None]:
    """(full names to try in order, (short name, repository) to be recorded as the user's choice or None)."""
    if not is_short(text):
        return [parse_reference(text)], None
    repository, tail = split_short(text)
    found, ask = conf.resolve_short(repository)
    chosen = None
    if repository in conf.aliases:
        progress.note(f'Resolved "{repository}" as an alias ({conf.alias_sources.get(repository, "")})')
    elif ask and options.choose is not None:
        found = [options.choose(found)]
        chosen = (repository, found[0])
    elif ask and conf.mode == "enforcing":
        raise ConflictError(f'short-name resolution enforced but cannot prompt without a TTY: "{repository}" may be '
                            f"{' or '.join(found)}", hint=f"Write the full name, for example {found[0]}{tail}.")
    elif conf.search_source:
        progress.note(f'Resolving "{repository}" using unqualified-search registries ({conf.search_source})')
    return [parse_reference(name + tail) for name in found], chosen


def _strip_transport(name: str) -> str:
    place = parse_place(name)
    if place is None:
        return name
    if place.transport != "docker":
        raise UsageError(f"pulling all tags is not supported for {place.transport} transport",
                         hint="Leave --all-tags out.")
    return place.reference


def _local(engine: "Engine", text: str, options: PullOptions) -> "Image | None":
    """The image that is here under this name, if it is of the wanted platform."""
    from podlike.engine.images import resolve

    try:
        image = resolve(engine, text)
    except NotFoundError:
        return None
    if options.platform:
        have = _platform_of(ImageConfig.from_dict(image.config))
        if platform_rank(parse_platform(options.platform), have) != 0:
            return None
    return image


def _platform_of(config: ImageConfig) -> Platform:
    return Platform(config.os, config.architecture, config.variant)


def _jobs(source: _Source) -> list[Job]:
    """One job a layer; a layer that the image has twice is fetched once."""
    urls = _foreign_urls(source.raw)
    jobs: dict[str, Job] = {}
    for n, (layer, diff_id) in enumerate(zip(source.manifest.layers, source.config.diff_ids, strict=True)):
        same = next((j for j in jobs.values() if j.digest == layer.digest), None)
        if same and same.diff_id != diff_id:
            raise RegistryError(f"reading config {source.manifest.config.digest}: layer {layer.digest} has two diff IDs",
                                hint="Report this to the owner of the image.")
        jobs.setdefault(diff_id, Job(layer.digest, layer.size, diff_id, layer.media_type, urls.get(n, ())))
    return list(jobs.values())


def _foreign_urls(raw: bytes) -> dict[int, tuple[str, ...]]:
    """layers[n].urls of a manifest that was parsed before; only strings."""
    found = {}
    for n, layer in enumerate(load_json(raw, "image manifest", limit=len(raw)).get("layers") or []):
        urls = layer.get("urls")
        if isinstance(urls, list):
            found[n] = tuple(u for u in urls if isinstance(u, str))
    return found


def _all_failed(errors: "list[PodlikeError]") -> PodlikeError:
    if len(errors) == 1:
        return errors[0]
    lines = "".join(f"\n * {e.message}" for e in errors)
    kind = NotFoundError if all(isinstance(e, NotFoundError) for e in errors) else RegistryError
    return kind(f"{len(errors)} errors occurred while pulling:{lines}", hint="Write the full name, or: " + (
        errors[-1].hint or "check the search registries."))
