"""--security-opt, --device and their like as fields of a ContainerSpec."""

import os

from podlike.cli.refused import refuse
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.cli.command import Call
    from podlike.spec.container import ContainerSpec


def fill_isolation(call: "Call", spec: "ContainerSpec") -> None:
    """Security options, devices and their rules. Raises: UsageError."""
    opts = call.opts
    if opts.device_cgroup_rule:
        if os.geteuid() != 0:
            raise UsageError("device cgroup rules are not supported in rootless mode or in a user namespace")
        from podlike.spec.devices import parse_rule

        for text in opts.device_cgroup_rule:
            parse_rule(text)
        spec.device_rules = list(opts.device_cgroup_rule)
    for text in opts.security_opt:
        _security_option(text, spec)
    if opts.seccomp_policy not in ("", "default", "image"):
        raise UsageError(f'invalid seccomp policy "{opts.seccomp_policy}": valid policies are ["default" "image"]')
    spec.seccomp_by_image = opts.seccomp_policy == "image"
    spec.devices = [_device(text) for text in opts.device] + [d for text in opts.gpus for d in _gpu(text, docker=call.docker)]


def _gpu(text: str, *, docker: bool) -> "list[str]":
    """--gpus as CDI devices of the vendor's specification: all, an index, a UUID, docker's device=0,1 and, as docker, a count."""
    key, equals, value = text.partition("=")
    if key in ("driver", "capabilities", "options") and equals:
        refuse(f"gpus={text}", "CDI devices are chosen by name", "Write --gpus all, or --gpus device=0.")
    if text in ("all", "-1"):
        return ["nvidia.com/gpu=all"]
    names = [value if key in ("device", "count") and equals else text]
    if docker and names[0].isdigit() and key != "device":
        names = [str(n) for n in range(int(names[0]))]
    return [f"nvidia.com/gpu={name}" for name in names if name]


def _security_option(text: str, spec: "ContainerSpec") -> None:
    for separator in ("=", ":"):
        key, found, value = text.partition(separator)
        if found and key in _SECURITY:
            break
    else:
        key, found, value = text, "", ""
    if key == "no-new-privileges":
        if value not in ("", "true", "false"):
            raise UsageError(f'invalid --security-opt 2: "{text}"')
        spec.no_new_privileges = value != "false"
    elif not found or key not in _SECURITY:
        raise UsageError(f'invalid --security-opt {"2" if found or "=" in text else "1"}: "{text}"',
                         hint="Options are no-new-privileges, seccomp=, apparmor=, label=, mask=, unmask=, proc-opts=.")
    elif key == "seccomp":
        spec.seccomp_profile = value if value in ("", "unconfined") else os.path.abspath(value)
    elif key == "apparmor":
        spec.apparmor_profile = value
    elif key == "label":
        # Containers have no SELinux label here, which is what label=disable asks for; the rest would need one.
        if value not in ("disable", "nested"):
            refuse(f"security-opt label={value}", "containers get no SELinux label",
                   "Leave it out, or write --security-opt label=disable.")
    elif key == "mask":
        spec.masked_paths += value.split(":")
    elif key == "unmask":
        spec.unmasked_paths += ["ALL"] if value.upper() == "ALL" else value.split(":")
    elif key == "systempaths":
        if value != "unconfined":
            raise UsageError(f'invalid systempaths option "{value}", only `unconfined` is supported')
        spec.unmasked_paths.append("ALL")
    else:
        spec.proc_options += [word for word in value.split(",") if word]


_SECURITY = frozenset(("no-new-privileges", "seccomp", "apparmor", "label", "mask", "unmask", "systempaths",
                       "proc-opts"))


def _device(text: str) -> str:
    from podlike.spec.cdi import is_qualified

    if is_qualified(text):
        return text
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise UsageError(f"invalid device specification: {text}", hint="Write HOST-DEVICE[:CONTAINER-DEVICE][:rwm].")
    if len(parts) == 3 and parts[2].strip("rwm"):
        raise UsageError(f"invalid device mode: {parts[2]}", hint="The mode is made of r, w and m.")
    return text
