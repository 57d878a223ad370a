"""podlike system check: find what is damaged in the store, and mend it."""

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.check import Report


def check(call: Call) -> None:
    from podlike.engine.check import MAX_AGE, repair
    from podlike.engine.check import check as look
    from podlike.spec.durations import parse_duration

    opts = call.opts
    max_age = parse_duration(opts.max) if call.changed("max") else MAX_AGE
    report = look(call.engine, quick=opts.quick, max_age=max_age)
    _print(call, report)
    if not report.damaged:
        return
    if not opts.repair and not opts.force:
        raise StoreError("damage detected in local storage",
                         hint="Mend it with `podlike system check --repair`, which pulls again what it can.")
    for line in repair(call.engine, report, force=opts.force):
        call.out(line)
    again = look(call.engine, quick=True, max_age=max_age)
    if again.damaged:
        _print(call, again)
        raise StoreError("damage in local storage still present after repair attempt",
                         hint="What is left is used by containers: --force removes those, too.")


def _print(call: Call, report: "Report") -> None:
    for kind, found in (("layer", report.layers), ("blob", report.blobs), ("image", report.images),
                        ("container", report.containers)):
        for name, words in found.items():
            count = "1 error" if len(words) == 1 else f"{len(words)} errors"
            call.out(f"Damaged {kind} {name}:\n{count} occurred:\n" + "".join(f"\t* {line}\n" for line in words))
    for diff_id in report.unused:
        call.out(f"Damaged layer {diff_id}:\n1 error occurred:\n\t* layer not referenced by any image or container\n")


command = Command(
    "check", check, args=no_args, summary="Check storage consistency",
    description="Check storage for consistency: existence and sizes, and without --quick the content of every blob and "
                "layer. With --repair what is damaged is unpacked again from its blob, or pulled again by its digest; an "
                "image for which neither is possible is removed.",
    flags=(Flag("force", "f", "bool", "Remove inconsistent images and containers"),
           Flag("max", "m", "duration", "Maximum allowed age of unreferenced layers", "24h0m0s"),
           Flag("quick", "q", "bool", "Skip time-consuming checks. The default is to include time-consuming checks"),
           Flag("repair", "r", "bool", "Remove inconsistent images")),
    examples=("system check", "system check --quick", "system check --repair"))
