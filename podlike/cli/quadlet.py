"""podlike quadlet list, print, rm, install: Quadlets, the files of which systemd services are made."""

import sys

from podlike import log
from podlike.cli.command import Call, Command, Flag, exactly, no_args, print_error
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.engine.quadlet.listing import Apps, Quadlets
    from podlike.engine.quadlet.systemctl import State
    from podlike.spec.govalues import View

_ROW: "Final" = "{{.Name}}\t{{.UnitName}}\t{{.Path}}\t{{.Status}}\t{{.App}}"
_HEADS: "Final" = {"Name": "NAME", "UnitName": "UNIT NAME", "Path": "PATH ON DISK", "Status": "STATUS", "App": "APPLICATION",
                   "Pod": "POD"}


def list_(call: Call) -> None:
    from podlike.cli.output import print_rows
    from podlike.engine.quadlet.listing import Apps, Quadlets, warn
    from podlike.engine.quadlet.systemctl import states

    for item in call.opts.filter:
        if "=" not in item:
            raise UsageError(f'invalid filter "{item}"', hint="Write --filter name=REGEX, status=REGEX or pod=REGEX.")
    quadlets, apps = Quadlets(), Apps()
    known = states([s for s in map(quadlets.service, quadlets.paths) if s])
    rows = _filtered([_row(path, quadlets, apps, known) for path in quadlets.paths], call.opts.filter)
    print_rows(call, rows, _ROW, format=call.opts.format, heads=_HEADS, heading=not call.opts.noheading, always=True, indent=2)
    warn(quadlets.text_problems(row.fields["Name"] for row in rows))


def _row(path: str, quadlets: "Quadlets", apps: "Apps", known: "dict[str, State]") -> "View":
    from podlike.spec.govalues import View

    name, service = path.rpartition("/")[2], quadlets.service(path)
    pod = ""
    if service:
        status = known[service].words
        pod = quadlets.results[path].entry.unit.text("Container", "Pod") or ""
    else:
        first = quadlets.find(name)
        wrong = next((p for p in quadlets.broken if p.path == path), None)
        status = wrong.sentence if wrong else f"Hidden by {first}" if first != path else "Not loaded"
    fields = {"Name": name, "UnitName": service, "Path": path, "Status": status, "App": apps.app_of.get(name, ""), "Pod": pod}
    return View(fields, fields)


def _filtered(rows: "list[View]", items: list[str]) -> "list[View]":
    from podlike.spec.filters import name_matches, parse_filters

    filters = parse_filters(items)
    for key in filters:
        if key not in ("name", "status", "pod"):
            raise UsageError(f"{key} is not a valid filter", hint="Filters here are name, status and pod.")
    return [row for row in rows
            if all(any(name_matches(v, row.fields[key.capitalize()]) for v in values) for key, values in filters.items())]


def print_(call: Call) -> None:
    from podlike.engine.quadlet.listing import Quadlets, warn

    quadlets = Quadlets()
    path = quadlets.find(call.args[0])
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            text = f.read()
    except OSError as e:
        raise PodlikeError(f'reading quadlet "{path}" contents: {(e.strerror or "").lower()}') from e
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    call.out(text, end="")
    sys.stdout.flush()
    warn(quadlets.text_problems([call.args[0]]))


def rm(call: Call) -> int:
    from podlike.engine.quadlet.listing import warn
    from podlike.engine.quadlet.remove import Remover

    opts = call.opts
    if not call.args and not opts.all:
        raise UsageError("at least one quadlet file must be selected", hint="Name Quadlets, or use --all.")
    remover = Remover()
    problems = remover.quadlets.text_problems(call.args)
    code, gone = 0, set[str]()

    def removed(name: str) -> None:
        gone.add(name)
        call.out(name)

    for name in remover.all_names() if opts.all else call.args:
        if name in gone:
            continue  # with the app to which it belongs
        try:
            remover.remove(remover.plan(name), force=opts.force, removed=removed)
        except PodlikeError as e:
            if isinstance(e, NotFoundError) and opts.ignore:
                call.out(name)
                continue
            e.message = f"unable to remove Quadlet {name}: {e.message}"
            print_error(e)
            code = e.exit_code
    if gone:
        _reload(call)
    warn(p for p in problems if p.path.rpartition("/")[2] not in gone)
    return code


def install(call: Call) -> int:
    from podlike.engine.quadlet.install import Installer
    from podlike.engine.quadlet.listing import Quadlets, warn

    if not call.args:
        raise UsageError("must provide at least one argument", hint="Name files, directories or addresses.")
    installer = Installer(call.engine, replace=call.opts.replace)
    code, written = 0, list[str]()
    for source in call.args:
        try:
            paths = installer.install(source)
        except PodlikeError as e:
            e.message = f'quadlet "{source}" failed to install: {e.message}'
            print_error(e)
            code = e.exit_code
            continue
        written += paths
    try:
        if written:
            _reload(call)
            warn(Quadlets().text_problems(path.rpartition("/")[2] for path in written))
    finally:  # they are there; behind what the generator says, so that who reads both streams as one finds them at the end
        for path in written:
            call.out(path)
    return code


def _reload(call: Call) -> None:
    """Tell systemd, where there is one, and the user if nothing makes services of Quadlets."""
    from podlike.engine.quadlet import setup, systemctl

    sys.stdout.flush()
    if not systemctl.is_running():
        log.info("there is no systemd to be told")
        return
    if not setup.state():
        log.warning("nothing makes services of Quadlets here: run `podlike quadlet generator install`")
    if call.opts.reload_systemd:
        setup.reload()


_RELOAD: "Final" = "reload-systemd"

list_command = Command(
    "list", list_, args=no_args, summary="List Quadlets",
    description="List all Quadlets configured for the current user. What is wrong in them is told on standard error, with "
                "file and line.",
    flags=(Flag("filter", "f", "array", "Filter output based on conditions given"),
           Flag("format", "", "string", "Pretty-print output to JSON or using a Go template"),
           Flag("noheading", "n", "bool", "Do not print headers")),
    examples=("quadlet list", "quadlet list --format '{{ .UnitName }}'", "quadlet list --filter 'name=test*'"))
print_command = Command(
    "print", print_, usage="QUADLET", args=exactly(1), summary="Display the contents of a quadlet",
    description="Print the contents of a Quadlet to standard output, and what is wrong in it to standard error.",
    examples=("quadlet print myquadlet.container", "quadlet print mypod.pod", "quadlet print myimage.build"))
rm_command = Command(
    "rm", rm, usage="QUADLET [QUADLET...]", summary="Remove Quadlets",
    description="Remove one or more installed Quadlets from the current user. Of an application (.NAME.app, or a Quadlet that "
                "belongs to one) all files are removed.",
    flags=(Flag("all", "a", "bool", "Remove all Quadlets for the current user"),
           Flag("force", "f", "bool", "Remove running quadlets"),
           Flag("ignore", "i", "bool", "Do not error for Quadlets that do not exist"),
           Flag(_RELOAD, "", "bool", "Reload systemd after removal", True)),
    examples=("quadlet rm test.container", "quadlet rm --force mysql.container", "quadlet rm --all --reload-systemd=false"))
install_command = Command(
    "install", install, usage="QUADLET-PATH-OR-URL [FILES-PATH-OR-URL...]",
    summary="Install a quadlet file or quadlet application",
    description="Install Quadlets: files, directories, .quadlets files with several of them, and addresses of the web. "
                "Files that are no Quadlets and follow one are installed with it. All that a directory or a .quadlets file "
                "holds is one application.",
    flags=(Flag(_RELOAD, "", "bool", "Reload systemd after installing Quadlets", True),
           Flag("replace", "r", "bool", "Replace the installation even if the quadlet already exists")),
    examples=("quadlet install /path/to/myquadlet.container", "quadlet install --replace ./webapp",
              "quadlet install https://example.com/basic.container"))
