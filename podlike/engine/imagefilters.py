"""--filter of `images` and `image prune`: every test must pass, except that of several reference=PATTERN one is enough."""

from podlike.engine.core import Engine
from podlike.errors import NotFoundError, PodlikeError, UsageError
from podlike.spec.durations import parse_time
from podlike.spec.filters import label_matches
from podlike.spec.globs import path_match
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from podlike.engine.kinship import Kinship

    Test = Callable[[Image], bool]

_TRUE: "Final" = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: "Final" = ("0", "f", "F", "FALSE", "false", "False")


def select(engine: Engine, images: list[Image], filters: "Iterable[str]", *, kinship: "Kinship | None" = None) -> list[Image]:
    """The images that pass all filters, KEY=VALUE or KEY!=VALUE.

    Where one reference is asked for, and it is a full name, the others of an image's names are left out of it.
    Raises: UsageError, NotFoundError for before=IMAGE and since=IMAGE.
    """
    filters = list(filters)
    if not filters:
        return images
    compiler = _Compiler(engine, kinship)
    tests = [compiler.test(text) for text in filters]
    found = [image for image in images if all(test(image) for test in tests if test)]
    wanted, unwanted = compiler.wanted, compiler.unwanted
    if wanted:
        found = _matching(engine, found, wanted)
    excluded = {image.id for image in _matching(engine, found, unwanted)}
    found = [image for image in found if image.id not in excluded]
    if len(wanted) == 1 and not unwanted:
        for image in found:
            image.names = _queried(image.names, wanted[0])
    return found


class _Compiler:
    """Filter texts to tests; what several of them share is looked up once."""

    def __init__(self, engine: Engine, kinship: "Kinship | None") -> None:
        self._engine = engine
        self._kinship = kinship
        self._used: "set[str] | None" = None
        self._seen: dict[str, str] = {}
        self.wanted: list[str] = []
        self.unwanted: list[str] = []

    def test(self, text: str) -> "Test | None":
        """None for references, which are gathered in wanted and unwanted."""
        key, equals, value = text.partition("=")
        negate = key.endswith("!")
        key = key.removesuffix("!")
        if not equals:
            raise _malformed(text)
        if key == "reference":
            (self.unwanted if negate else self.wanted).append(value)
            return None
        found = self._test(key, value)
        return (lambda image: not found(image)) if negate else found

    def _test(self, key: str, value: str) -> "Test":
        if key in ("before", "since", "after"):
            limit = self._created(key, value)
            return (lambda i: i.created < limit) if key == "before" else (lambda i: i.created > limit)
        if key == "until":
            end = parse_time(value)
            return lambda i: i.created < end
        if key == "label":
            return lambda i: label_matches(_labels(i), value)
        if key == "id":
            return lambda i: i.id.startswith(value.removeprefix("sha256:"))
        if key == "digest":
            if not value.startswith("sha256:"):
                raise UsageError(f'invalid value "{value}" for digest filter', hint="Write digest=sha256:....")
            return lambda i: any(d.startswith(value) for d in digests_of(i))
        if key == "containers":
            return self._containers(value)
        return self._yes_or_no(key, value)

    def _yes_or_no(self, key: str, value: str) -> "Test":
        if key not in ("dangling", "intermediate", "manifest", "readonly"):
            raise _malformed(key)
        wanted = self._bool(key, value)
        if key == "manifest":
            return lambda i: (i.index is not None) == wanted
        if key == "readonly":
            return lambda i: i.read_only == wanted
        kinship = self._kin()
        if key == "dangling":
            return lambda i: kinship.is_dangling(i) == wanted
        return lambda i: kinship.is_intermediate(i) == wanted

    def _containers(self, value: str) -> "Test":
        self._once("containers", value)
        if value not in ("true", "false", "external"):
            raise UsageError(f'unsupported value "{value}" for containers filter', hint="Use true, false or external.")
        if self._used is None:
            self._used = {c.image for c in self._engine.containers.all() if c.image}
        used = self._used
        # There are no containers of other programs: "external" means that none of ours uses it.
        return lambda i: (i.id in used) == (value == "true")

    def _kin(self) -> "Kinship":
        if self._kinship is None:
            from podlike.engine.kinship import Kinship

            self._kinship = Kinship(self._engine.images.all())
        return self._kinship

    def _bool(self, key: str, value: str) -> bool:
        self._once(key, value)
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise UsageError(f'non-boolean value "{value}" for {key} filter: strconv.ParseBool: parsing "{value}": '
                         "invalid syntax", hint=f"Write {key}=true or {key}=false.")

    def _once(self, key: str, value: str) -> None:
        if self._seen.setdefault(key, value) != value:
            raise UsageError(f'specifying "{key}" filter more than once with different values is not supported')

    def _created(self, key: str, name: str) -> float:
        from podlike.engine.images import find

        try:
            return find(self._engine, name)[0].created
        except NotFoundError as e:
            raise NotFoundError(f'could not find local image for filter "{key}"="{name}": {e.message}') from None


def _malformed(text: str) -> UsageError:
    return UsageError(f'invalid image filter "{text}": must be in the format "filter=value or filter!=value"')


def digests_of(image: Image) -> list[str]:
    """Of its manifest, and of every manifest and index that it was pulled by."""
    return list(dict.fromkeys([image.manifest_digest, *(d.partition("@")[2] for d in image.digests)]))


def _matching(engine: Engine, images: list[Image], references: list[str]) -> list[Image]:
    """Those that one of the references leads to as a name or id, or is a pattern for one of their names."""
    meant = {_meant(engine, reference) for reference in references}
    return [i for i in images if i.id in meant or any(name_matches_reference(n, r) for r in references for n in i.names)]


def _meant(engine: Engine, text: str) -> str | None:
    """The id of the image that a name or an id stands for."""
    from podlike.engine.images import find

    if not text or set(text) & set("*?[\\"):
        return None
    try:
        return find(engine, text)[0].id
    except PodlikeError:
        return None


def name_matches_reference(name: str, pattern: str) -> bool:
    """The pattern against the name in whole, without its registry, its last part; each with and without the tag."""
    return any(path_match(pattern, way) for way in _ways(name))


def _ways(name: str) -> list[str]:
    """docker.io/library/x:1 -> that, library/x:1, x:1, and each without the tag."""
    at = name.find("@")
    bare = name[:at] if at >= 0 else name.rpartition(":")[0]
    tail = name[len(bare):]
    path = bare.partition("/")[2]
    out = []
    for way in (bare, path, bare.rpartition("/")[2]):
        out += [way + tail, way]
    return out


def _queried(names: list[str], reference: str) -> list[str]:
    """The names that a full name with tag or digest asks for; all of them when it is anything less."""
    from podlike.spec.reference import is_short, parse_reference

    if is_short(reference) or set(reference) & set("*?["):
        return names
    try:
        wanted = parse_reference(reference)
    except PodlikeError:
        return names
    if "@" in reference:
        return [n for n in names if n.startswith((f"{wanted.repository}:", f"{wanted.repository}@"))]
    return [n for n in names if n == reference] if ":" in reference.rpartition("/")[2] else names


def _labels(image: Image) -> "dict[str, str]":
    return (image.config.get("config") or {}).get("Labels") or {}
