"""containers.conf -> one Config: where it is read, how files add up, what is refused.

Source: containers.conf(5). `engine.stop_timeout` in a file is `config.engine.stop_timeout` here. Every command reads this.
"""

import os

from podlike.config_tables import ContainersTable, EngineTable, NetworkTable, PodlikeTable
from podlike.errors import ConfigError
from podlike.toml_plain import read_toml, typed, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from podlike.storage_conf import StorageConfig

USR_DIR = "/usr/share/containers"
ETC_DIR = "/etc/containers"


class Config:
    """One user's configuration.

    files: those that were read, in order; modules: the absolute paths of those that --module named. given: by dotted key, the
    last file that has it. unknown: (file, dotted key), with "" for a key when it is a whole table.
    """

    __slots__ = ("_appending", "_storage", "containers", "engine", "files", "given", "modules", "network", "podlike", "unknown")

    def __init__(self) -> None:
        self.containers = ContainersTable()
        self.network = NetworkTable()
        self.engine = EngineTable()
        self.podlike = PodlikeTable()
        self.files: list[str] = []
        self.modules: list[str] = []
        self.given: "dict[str, str]" = {}
        self.unknown: "list[tuple[str, str]]" = []
        self._appending: set[str] = set()  # arrays for which {append=true} holds, also in later files
        self._storage: "StorageConfig | None" = None

    @property
    def storage(self) -> "StorageConfig":
        """storage.conf, read when first asked for. Raises: ConfigError."""
        if self._storage is None:
            from podlike.storage_conf import load_storage

            self._storage = load_storage(user_config_dir(), ETC_DIR, USR_DIR)
        return self._storage

    def merge(self, doc: "dict[str, Any]", source: str) -> None:
        """Lay the tables of one file over what is there. Raises: ConfigError naming source and key."""
        for name, values in doc.items():
            if name in _OTHER_TABLES:
                continue
            table = getattr(self, name, None) if name in ("containers", "network", "engine", "podlike") else None
            if table is None:
                self.unknown.append((source, name))
                continue
            if not isinstance(values, dict):
                raise wrong(source, name, "a table", values)
            for key, value in values.items():
                self._set(table, f"{name}.{key}", key, value, source)

    def _set(self, table: object, dotted: str, key: str, value: "Any", source: str) -> None:
        kind = type(table)
        if key.startswith("_") or not hasattr(kind, key):
            self.unknown.append((source, dotted))
            return
        self.given[dotted] = source
        default = getattr(kind, key)
        if dotted == "network.default_subnet_pools":
            value = tuple(typed(value, list, source, dotted, "an array"))
        elif isinstance(default, tuple):
            value = self._array(value, getattr(table, key), source, dotted)
        elif isinstance(default, dict):
            value = getattr(table, key) | _table(value, source, dotted)
        elif isinstance(default, bool):
            value = typed(value, bool, source, dotted, "true or false")
        elif isinstance(default, int) or default is None:
            value = _whole_number(value, source, dotted)
        elif dotted == "engine.events_logfile_max_size" and type(value) is int:
            value = str(value)
        else:
            value = typed(value, str, source, dotted, "a string")
        if dotted == "podlike.limits" and value not in ("strict", "best-effort"):
            raise wrong(source, dotted, "strict or best-effort", value)
        if dotted == "containers.default_capabilities":
            value = tuple(c.upper() if c.upper().startswith("CAP_") else "CAP_" + c.upper() for c in value)
        setattr(table, key, value)

    def _array(self, value: "Any", current: tuple[str, ...], source: str, dotted: str) -> tuple[str, ...]:
        """An array of strings in which a table {append=BOOL} may stand."""
        words: list[str] = []
        for i, item in enumerate(typed(value, list, source, dotted, "an array of strings")):
            if isinstance(item, str):
                words.append(item)
            elif isinstance(item, dict) and list(item) == ["append"] and isinstance(item["append"], bool):
                (self._appending.add if item["append"] else self._appending.discard)(dotted)
            else:
                raise wrong(source, f"{dotted}[{i}]", "a string or {append=true}", item)
        return (*current, *words) if dotted in self._appending else tuple(words)


# Tables of containers.conf that are of no use to podlike, or are read elsewhere.
_OTHER_TABLES = frozenset(("machine", "farms", "podmansh", "secrets", "configmaps"))

# Numbers that podman also takes below zero.
_SIGNED = frozenset(("containers.log_size_max", "containers.oom_score_adj", "containers.pids_limit",
                     "engine.compression_level"))


def load_config(modules: "Sequence[str]" = ()) -> Config:
    """Read containers.conf from everywhere podman looks, later files over earlier ones.

    modules: of --module, laid over the files. CONTAINERS_CONF: only this file. CONTAINERS_CONF_OVERRIDE: after all others.
    Both must exist. To be called before the session is joined: there an ordinary user is uid 0.
    The variables of [engine] env are set in the environment, unless they are there; unknown keys are warned of, once.
    Raises: ConfigError.
    """
    config = Config()
    config.modules = [find_module(name) for name in modules]
    for path, must_exist in _search_path("containers", config.modules):
        try:
            doc = read_toml(path, must_exist=must_exist)
        except ConfigError as e:
            if path in config.modules:
                raise ConfigError(f'reading additional config "{path}": decode configuration {path}: {e.detail or e.message}',
                                  hint=e.hint) from e
            raise
        if doc is not None:
            config.files.append(path)
            config.merge(doc, path)
    if config.engine.remote:
        raise ConfigError(f"read {config.given['engine.remote']}: engine.remote is true, and podlike runs containers on this "
                          "host only", hint="Set it to false.")
    for text in config.engine.env:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"invalid environment variable for engine {text}, valid configuration is KEY=value pair",
                              hint="Correct env in the table [engine] of containers.conf.")
        os.environ.setdefault(name, value)
    if config.unknown:
        _warn_of_unknown(config)
    return config


def module_dirs() -> list[str]:
    """Where --module looks for a name that is no absolute path."""
    user = [f"{user_config_dir()}/containers.conf.modules"] if os.getuid() != 0 and user_config_dir() else []
    return [*user, f"{ETC_DIR}/containers.conf.modules", f"{USR_DIR}/containers.conf.modules"]


def find_module(name: str) -> str:
    """The path of a module of containers.conf. Raises: ConfigError in podman's words."""
    errors = []
    paths = [name] if name.startswith("/") else [f"{directory}/{name}" for directory in module_dirs()]
    for path in paths:
        try:
            os.stat(path)
        except OSError as e:
            errors.append(f"faccessat {path}: {(e.strerror or '').lower()}")
        else:
            return path
    if len(errors) == 1:
        raise ConfigError(f'could not resolve module "{name}": {errors[0]}', hint="Correct the path after --module.")
    many = "".join(f"\n\t* {text}" for text in errors)
    raise ConfigError(f'could not resolve module "{name}": {len(errors)} errors occurred:{many}',
                      hint="Put the module into one of these directories, or give its absolute path.")


_told: "set[tuple[str, str]]" = set()  # unknown keys that were warned of: threads load the configuration again


def _warn_of_unknown(config: Config) -> None:
    import difflib

    from podlike import log
    from podlike.toml_places import line_of

    for path, dotted in config.unknown:
        if (path, dotted) in _told:
            continue
        _told.add((path, dotted))
        table, dot, key = dotted.partition(".")
        kind = type(getattr(config, table)) if dot else None
        known = [k for k in vars(kind) if not k.startswith("_")] if kind else ["containers", "engine", "network", *_OTHER_TABLES]
        near = difflib.get_close_matches(key if dot else table, known, n=1)
        try:
            with open(path, encoding="utf-8") as f:
                line = line_of(f.read(), dotted)
        except OSError:
            line = 0
        log.warning(f"{path}{f':{line}' if line else ''}: unknown key {dotted} has no effect"
                    + (f': did you mean "{near[0]}"?' if near else ""))


def user_config_dir() -> str:
    """$XDG_CONFIG_HOME/containers, or its default; "" without a home directory."""
    home = os.environ.get("XDG_CONFIG_HOME")
    if not home:
        home = os.environ.get("HOME")
        home = f"{home}/.config" if home else ""
    return f"{home}/containers" if home else ""


def _search_path(name: str, modules: "Sequence[str]") -> "Iterator[tuple[str, bool]]":
    """(path, must exist) of every NAME.conf, least important first."""
    only = os.environ.get("CONTAINERS_CONF")
    if only:
        yield only, True
    else:
        uid = str(os.getuid())
        special = "rootful" if uid == "0" else "rootless"
        yield f"{USR_DIR}/{name}.conf", False
        yield f"{ETC_DIR}/{name}.conf", False
        yield from _drop_ins(f"{ETC_DIR}/{name}.conf.d")
        yield f"{ETC_DIR}/{name}.{special}.conf", False
        yield from _drop_ins(f"{ETC_DIR}/{name}.{special}.conf.d")
        if uid != "0":
            yield from _drop_ins(f"{ETC_DIR}/{name}.{special}.conf.d/{uid}")
        user = user_config_dir()
        if user:
            yield f"{user}/{name}.conf", False
            yield from _drop_ins(f"{user}/{name}.conf.d")
    for path in modules:
        yield path, True
    override = os.environ.get("CONTAINERS_CONF_OVERRIDE")
    if override:
        yield override, True


def _drop_ins(directory: str) -> "list[tuple[str, bool]]":
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise ConfigError(f"read directory {directory}: {e.strerror}",
                          hint="Check the permissions of this directory.") from e
    return [(f"{directory}/{n}", False) for n in sorted(names)
            if n.endswith(".conf") and not os.path.isdir(f"{directory}/{n}")]


def _whole_number(value: object, source: str, dotted: str) -> int:
    # bool is a subclass of int in Python, not in TOML.
    if type(value) is not int:
        raise wrong(source, dotted, "a whole number", value)
    if value < 0 and dotted not in _SIGNED:
        raise wrong(source, dotted, "0 or more", value)
    return value


def _table(value: "Any", source: str, dotted: str) -> "dict[str, Any]":
    """A table of strings or of arrays of strings, as its name demands."""
    out: "dict[str, Any]" = {}
    for key, item in typed(value, dict, source, dotted, "a table").items():
        name = f"{dotted}.{key}"
        if dotted in ("engine.runtimes", "engine.runtimes_flags"):
            words = typed(item, list, source, name, "an array of strings")
            out[key] = tuple(typed(w, str, source, f"{name}[{i}]", "a string") for i, w in enumerate(words))
        elif dotted == "engine.service_destinations":
            out[key] = item
        else:
            out[key] = typed(item, str, source, name, "a string")
    return out
