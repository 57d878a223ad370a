""".container files: a service that runs a container, and removes it when it ends."""

from podlike.quadlet import options
from podlike.quadlet.names import container_name
from podlike.quadlet.translation import Translation, check_kill_mode, service_type
from podlike.quadlet.unitfile import SPACE, is_true

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_STRINGS: "Final" = (
    ("Timezone", "--tz"), ("PidsLimit", "--pids-limit"), ("ShmSize", "--shm-size"), ("WorkingDir", "--workdir"),
    ("IP", "--ip"), ("IP6", "--ip6"), ("HostName", "--hostname"), ("StopSignal", "--stop-signal"),
    ("StopTimeout", "--stop-timeout"), ("Pull", "--pull"), ("Memory", "--memory"), ("Retry", "--retry"),
    ("RetryDelay", "--retry-delay"))
_REPEATED: "Final" = (
    ("NetworkAlias", "--network-alias"), ("Ulimit", "--ulimit"), ("DNS", "--dns"), ("DNSOption", "--dns-option"),
    ("DNSSearch", "--dns-search"), ("GroupAdd", "--group-add"), ("AddHost", "--add-host"), ("Tmpfs", "--tmpfs"))
_FLAGS: "Final" = (
    ("RunInit", "--init"), ("EnvironmentHost", "--env-host"), ("HttpProxy", "--http-proxy"),
    ("ReadOnlyTmpfs", "--read-only-tmpfs"))
_PAIRS: "Final" = (("Environment", "--env"), ("Label", "--label"), ("Annotation", "--annotation"))
_HEALTH: "Final" = tuple((f"Health{key}", f"--health-{flag}") for key, flag in (
    ("Cmd", "cmd"), ("Interval", "interval"), ("OnFailure", "on-failure"), ("LogDestination", "log-destination"),
    ("MaxLogCount", "max-log-count"), ("MaxLogSize", "max-log-size"), ("Retries", "retries"),
    ("StartPeriod", "start-period"), ("Timeout", "timeout"), ("StartupCmd", "startup-cmd"),
    ("StartupInterval", "startup-interval"), ("StartupRetries", "startup-retries"),
    ("StartupSuccess", "startup-success"), ("StartupTimeout", "startup-timeout")))


def translate(t: Translation) -> None:
    """Raises: RefusedUnit."""
    image, rootfs = t.text("Image"), t.text("Rootfs")
    if not image and not rootfs:
        t.refuse("no Image or Rootfs key specified", "Image", "Rootfs")
    if image and rootfs:
        t.refuse("the Image And Rootfs keys conflict can not be specified together", "Rootfs")
    image = image and options.image_source(t, image)
    name = container_name(t.unit)
    t.service.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n")  # by this auto-update knows what to restart
    check_kill_mode(t)
    # The second one is for a monitor that was killed: then systemd does not call the first.
    t.execute("ExecStop", t.command("rm", "-v", "-f", "-i", name))
    program, *rest = t.command("rm", "-v", "-f", "-i", name)
    t.execute("ExecStopPost", [f"-{program}", *rest])
    _reload(t, name)
    t.service.add("Service", "Delegate", "yes")
    command = t.command("run", "--name", name, "--replace", "--rm")
    command += _basics(t) + options.networks(t) + _service(t) + _security(t) + _storage(t) + _rest(t)
    command += [image] if image else ["--rootfs", rootfs]
    t.execute("ExecStart", command + t.last_arguments("Exec"))


def _reload(t: Translation, name: str) -> None:
    signal, command = t.text("ReloadSignal"), t.last_arguments("ReloadCmd")
    if signal and command:
        t.refuse("ReloadCmd and ReloadSignal are mutually exclusive but both are set", "ReloadSignal")
    if command:
        t.execute("ExecReload", t.command("exec", name, *command))
    elif signal:
        t.execute("ExecReload", t.command("kill", "--signal", signal, name))


def _basics(t: Translation) -> list[str]:
    out = [*t.strings((("LogDriver", "--log-driver"),)), *t.repeated_names((("LogOpt", "--log-opt"),))]
    mode = t.text("CgroupsMode")
    out += ["--cgroups", mode] if mode else ["--cgroups=split"]
    entrypoint = t.given("Entrypoint")
    if entrypoint is not None:  # empty: the image's is taken away
        out.append(f"--entrypoint={entrypoint}")
    return out + t.strings(_STRINGS) + t.repeated(_REPEATED) + t.booleans(_FLAGS)


def _service(t: Translation) -> list[str]:
    """When systemd takes the service for started."""
    out = []
    if service_type(t) != "oneshot":
        notify = t.text("Notify").lower()
        who = "healthy" if notify == "healthy" else "container" if is_true(notify) else "conmon"
        out = [f"--sdnotify={who}", "-d"]
        t.service.set("Service", "Type", "notify")
        t.service.set("Service", "NotifyAccess", "all")
    t.set_default("SyslogIdentifier", "%N")
    return out


def _security(t: Translation) -> list[str]:
    out = []
    if t.flag("NoNewPrivileges"):
        out.append("--security-opt=no-new-privileges")
    for key, value in (("SecurityLabelDisable", "label=disable"), ("SecurityLabelNested", "label=nested")):
        if t.flag(key):
            out += ["--security-opt", value]
    for key, prefix in (("SecurityLabelType", "label=type:"), ("SecurityLabelFileType", "label=filetype:"),
                        ("SecurityLabelLevel", "label=level:"), ("AppArmor", "apparmor=")):
        if t.text(key):
            out += ["--security-opt", prefix + t.text(key)]
    for device in t.names("AddDevice"):
        if device[:1] == "-":  # only if it is there
            device = device[1:]
            if not t.around.exists(device.partition(":")[0]):
                continue
        out += ["--device", device]
    profile = t.given("SeccompProfile")
    if profile is not None:
        out += ["--security-opt", f"seccomp={profile}"]
    for key, flag in (("DropCapability", "--cap-drop"), ("AddCapability", "--cap-add")):
        out += [word for capability in t.names(key) for word in (flag, capability.lower())]
    out += t.repeated_names((("Sysctl", "--sysctl"),))
    read_only = t.booleans((("ReadOnly", "--read-only"),))
    if t.flag("VolatileTmp") and not t.flag("ReadOnly"):
        read_only += ["--tmpfs", "/tmp:rw,size=512M,mode=1777"]
    return out + read_only + options.user(t) + options.user_mappings(t, manual=True)


def _storage(t: Translation) -> list[str]:
    out = options.volumes(t)
    if t.text("AutoUpdate"):
        out += ["--label", f"io.containers.autoupdate={t.text('AutoUpdate')}"]
    for port in t.all("ExposeHostPort"):
        port = port.strip(SPACE)
        number = port.removesuffix("/udp").removesuffix("/tcp")
        if not number[-1:].isdigit():
            t.refuse(f"invalid port format '{port}'", "ExposeHostPort", about_text=True)
        out += ["--expose", port]
    return out + t.repeated((("PublishPort", "--publish"),))


def _rest(t: Translation) -> list[str]:
    out = t.repeated_pairs(_PAIRS)
    for key, prefix in (("Mask", "mask="), ("Unmask", "unmask=")):
        out += [word for path in t.arguments(key) for word in ("--security-opt", prefix + path)]
    out += [word for path in t.arguments("EnvironmentFile") for word in ("--env-file", t.absolute(path))]
    out += t.repeated_arguments((("Secret", "--secret"),)) + options.mounts(t) + t.strings(_HEALTH)
    return out + _pod(t) + t.extra()


def _pod(t: Translation) -> list[str]:
    name = t.text("Pod")
    if not name:
        return []
    if not name.endswith(".pod"):
        t.refuse(f"pod {name} is not Quadlet based", "Pod", about_text=True)
    pod = t.other(name, f"quadlet pod unit {name} does not exist", "Pod")
    t.need(pod.service, "BindsTo")
    template = t.unit.name.removesuffix(".container").endswith("@")  # who starts it must name an instance
    if not template and t.flag("StartWithPod", True):
        pod.to_start.append(t.service.name)
    return ["--pod", t.resource(pod, "Pod")]
