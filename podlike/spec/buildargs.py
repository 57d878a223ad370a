"""The variables of a build: which of them an instruction sees.

Source: docs.docker.com/reference/dockerfile, "ARG" and "Automatic platform ARGs in the global scope".
"""

from podlike.errors import UsageError
from podlike.spec import shellwords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from podlike.spec.image import Platform

# Known without an ARG, and not part of what makes a step another one.
PROXIES: "Final[tuple[str, ...]]" = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy",
                                      "NO_PROXY", "no_proxy",
                                      "ALL_PROXY", "all_proxy")


def platform_arguments(target: "Platform", build: "Platform") -> "dict[str, str]":
    """The arguments that need no --build-arg, though a stage must name them with ARG to see them."""
    out: "dict[str, str]" = {}
    for prefix, one in (("TARGET", target), ("BUILD", build)):
        out |= {f"{prefix}PLATFORM": str(one), f"{prefix}OS": one.os, f"{prefix}ARCH": one.architecture,
                f"{prefix}VARIANT": one.variant}
    return out


class BuildArgs:
    """given: --build-arg, in order. automatic: of the platform. used: names that some ARG has named."""

    def __init__(self, given: "Mapping[str, str]", automatic: "Mapping[str, str]") -> None:
        self.given = dict(given)
        self.automatic = dict(automatic)
        self.declared: "dict[str, str]" = {}  # before the first FROM
        self.used: set[str] = set()

    def declare_global(self, text: str, escape: str) -> None:
        """An ARG before the first FROM. Raises: UsageError."""
        self.declared |= self.read(text, {**self.automatic, **self.declared}, escape, {})

    @property
    def for_from(self) -> "dict[str, str]":
        return {**self.automatic, **self.declared}

    def unused(self) -> list[str]:
        return [name for name in self.given if name not in self.used and name not in PROXIES and name not in self.automatic]

    def read(self, text: str, variables: "Mapping[str, str]", escape: str, inherited: "Mapping[str, str]") -> "dict[str, str]":
        """What the words of an ARG give. inherited: what a name without a default may have."""
        out: "dict[str, str]" = {}
        for word in shellwords.split(text, escape=escape):
            name, equals, default = word.partition("=")
            name = shellwords.expand(name, variables, escape=escape)
            if not name or not (name[0].isalpha() or name[0] == "_"):
                raise UsageError(f"ARG {word[:40]}: this is no name", hint="Begin it with a letter or an underscore.")
            self.used.add(name)
            if name in self.given:
                out[name] = self.given[name]
            elif equals:
                out[name] = shellwords.expand(default, {**variables, **out}, escape=escape)
            elif name in inherited:
                out[name] = inherited[name]
        return out


class StageArgs:
    """Those of one stage. declared: name -> value; named: also those without a value."""

    def __init__(self, args: BuildArgs) -> None:
        self._args = args
        self.declared: "dict[str, str]" = {}

    def declare(self, text: str, env: "Mapping[str, str]", escape: str) -> None:
        """Raises: UsageError."""
        inherited = {**self._args.automatic, **self._args.declared}
        self.declared |= self._args.read(text, self.visible(env), escape, inherited)

    def visible(self, env: "Mapping[str, str]") -> "dict[str, str]":
        """For the replacement of variables: ENV wins over ARG."""
        return {**self.declared, **env}

    def of_run(self, env: "Mapping[str, str]") -> "tuple[dict[str, str], str]":
        """(what RUN gets beside ENV, what of it the history shows)."""
        shown = {name: value for name, value in self.declared.items() if name not in env}
        proxies = {name: self._args.given[name] for name in PROXIES if name in self._args.given and name not in env}
        return {**proxies, **shown}, " ".join(f"{name}={value}" for name, value in sorted(shown.items()))


def read_build_args(words: "Iterable[str]", host: "Mapping[str, str]") -> "dict[str, str]":
    """--build-arg NAME=VALUE, or NAME for the value that it has here; one that has none here is left out."""
    out: "dict[str, str]" = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"--build-arg {word[:60]}: it has no name", hint="Write --build-arg NAME=VALUE.")
        if equals:
            out[name] = value
        elif name in host:
            out[name] = host[name]
        else:
            out.pop(name, None)
    return out
