"""Kinds of Quadlets, their groups, and every key with what its value must be.

Source: podman-systemd.unit(5) of podman 5.8, and the keys that its successor takes too (UID, GID of volumes).
"""

from podlike.quadlet.problems import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Kind:
    """One kind of file. order: units that others name are translated before them. suffix: of the service's name."""

    __slots__ = ("extension", "group", "suffix", "order")

    def __init__(self, extension: str, group: str, suffix: str, order: int) -> None:
        self.extension = extension
        self.group = group
        self.suffix = suffix
        self.order = order


KINDS: "Final" = {kind.extension: kind for kind in (
    Kind(".artifact", "Artifact", "-artifact", 1), Kind(".image", "Image", "-image", 1),
    Kind(".network", "Network", "-network", 2), Kind(".volume", "Volume", "-volume", 2),
    Kind(".build", "Build", "-build", 3), Kind(".container", "Container", "", 4), Kind(".kube", "Kube", "", 4),
    Kind(".pod", "Pod", "-pod", 5))}

# What a value may be. Everything else is text of a shape that podlike's command line knows best.
FLAG, NUMBER, WHOLE, DURATION, SIZE, CHOICE, TEXT = "flag", "number", "whole", "duration", "size", "choice", "text"
CHOICES: "Final" = {
    ("Container", "AutoUpdate"): ("registry", "local", "image", "disabled"),
    ("Container", "CgroupsMode"): ("enabled", "disabled", "no-conmon", "split"),
    ("Container", "HealthOnFailure"): ("none", "kill", "restart", "stop"),
    ("Container", "Notify"): ("1", "yes", "true", "on", "0", "no", "false", "off", "healthy"),
    ("Container", "Pull"): ("always", "missing", "never", "newer"),
    ("Container", "RemapUsers"): ("manual", "auto", "keep-id"),
    ("Image", "Policy"): ("always", "missing", "never", "newer"),
    ("Kube", "ExitCodePropagation"): ("all", "any", "none"),
    ("Pod", "ExitPolicy"): ("continue", "stop"),
}

_EVERY: "Final" = "ContainersConfModule GlobalArgs PodmanArgs PodlikeArgs ServiceName"
_REMAP: "Final" = "RemapGid RemapUid RemapUsers number:RemapUidSize"
_MAPS: "Final" = "GIDMap SubGIDMap SubUIDMap UIDMap UserNS"
_FETCH: "Final" = "AuthFile CertDir Creds DecryptionKey whole:Retry duration:RetryDelay flag:TLSVerify"
_DNS: "Final" = "DNS DNSOption DNSSearch"

_TABLE: "Final" = {
    "Artifact": f"Artifact flag:Quiet {_FETCH}",
    "Build": f"Annotation Arch AuthFile BuildArg {_DNS} Environment File flag:ForceRM GroupAdd IgnoreFile ImageTag Label "
             "Network Pull whole:Retry duration:RetryDelay Secret SetWorkingDirectory Target flag:TLSVerify Variant Volume",
    "Container": "AddCapability AddDevice AddHost Annotation AppArmor choice:AutoUpdate choice:CgroupsMode ContainerName "
                 f"{_DNS} DropCapability Entrypoint Environment EnvironmentFile flag:EnvironmentHost Exec ExposeHostPort "
                 "Group GroupAdd HealthCmd HealthInterval HealthLogDestination whole:HealthMaxLogCount "
                 "whole:HealthMaxLogSize choice:HealthOnFailure whole:HealthRetries duration:HealthStartPeriod "
                 "HealthStartupCmd HealthStartupInterval whole:HealthStartupRetries whole:HealthStartupSuccess "
                 "duration:HealthStartupTimeout duration:HealthTimeout HostName flag:HttpProxy IP IP6 Image Label LogDriver "
                 f"LogOpt {_MAPS} Mask size:Memory Mount Network NetworkAlias flag:NoNewPrivileges choice:Notify "
                 "number:PidsLimit Pod PublishPort choice:Pull flag:ReadOnly flag:ReadOnlyTmpfs ReloadCmd ReloadSignal "
                 f"{_REMAP} whole:Retry duration:RetryDelay Rootfs flag:RunInit SeccompProfile Secret "
                 "flag:SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel flag:SecurityLabelNested "
                 "SecurityLabelType size:ShmSize flag:StartWithPod StopSignal number:StopTimeout Sysctl Timezone Tmpfs Ulimit "
                 "Unmask User flag:VolatileTmp Volume WorkingDir",
    "Image": f"flag:AllTags Arch Image ImageTag OS choice:Policy Variant {_FETCH}",
    "Kube": "AutoUpdate ConfigMap choice:ExitCodePropagation flag:KubeDownForce LogDriver LogOpt Network PublishPort "
            f"{_REMAP} SetWorkingDirectory UserNS Yaml",
    "Network": "DNS flag:DisableDNS Driver Gateway IPAMDriver IPRange flag:IPv6 InterfaceName flag:Internal Label "
               "flag:NetworkDeleteOnStop NetworkName Options Subnet",
    "Pod": f"AddHost {_DNS} choice:ExitPolicy HostName IP IP6 Label {_MAPS} Network NetworkAlias PodName PublishPort {_REMAP} "
           "size:ShmSize number:StopTimeout Volume",
    "Volume": "flag:Copy Device Driver GID number:Group Image Label Options Type UID number:User VolumeName",
}


def _parse(words: str) -> dict[str, str]:
    out = {}
    for word in f"{words} {_EVERY}".split():
        kind, colon, key = word.rpartition(":")
        out[key] = kind if colon else TEXT
    return out


# group -> key -> what its value must be
KEYS: "Final" = {group: _parse(words) for group, words in _TABLE.items()}
KEYS["Quadlet"] = {"DefaultDependencies": FLAG}
INSTALL_KEYS: "Final" = frozenset(("Alias", "DefaultInstance", "RequiredBy", "UpheldBy", "WantedBy"))
SYSTEMD_GROUPS: "Final" = ("Unit", "Service", "Install")

# Keys that systemd would have to act on: podman runs as who starts the unit.
UNSUPPORTED_SERVICE_KEYS: "Final" = ("User", "Group", "DynamicUser")

# Keys of [Unit] whose names of other Quadlets become names of their services.
DEPENDENCY_KEYS: "Final" = ("After", "Before", "BindsTo", "Conflicts", "OnFailure", "OnSuccess", "PartOf",
                            "PropagatesReloadTo", "PropagatesStopTo", "ReloadPropagatedFrom", "Requires", "Requisite",
                            "StopPropagatedFrom", "Upholds", "Wants")

# What people write who come from a Compose file or a command line, and the key that does it.
_MEANT: "Final" = {"cap_add": "AddCapability", "cap_drop": "DropCapability", "capabilities": "AddCapability", "cmd": "Exec",
                   "command": "Exec", "args": "Exec", "container_name": "ContainerName", "name": "ContainerName",
                   "devices": "AddDevice", "device": "AddDevice", "env": "Environment", "env_file": "EnvironmentFile",
                   "envfile": "EnvironmentFile", "expose": "ExposeHostPort", "extra_hosts": "AddHost",
                   "healthcheck": "HealthCmd", "healthtest": "HealthCmd", "init": "RunInit", "mem_limit": "Memory",
                   "port": "PublishPort", "ports": "PublishPort", "publish": "PublishPort", "read_only": "ReadOnly",
                   "stop_grace_period": "StopTimeout", "tz": "Timezone", "userns_mode": "UserNS",
                   "working_dir": "WorkingDir", "podname": "PodName", "volumes": "Volume", "networks": "Network"}
# Keys of systemd's that are put into the Quadlet's own group by mistake.
_ELSEWHERE: "Final" = {**dict.fromkeys(("Description", "Documentation", "ConditionPathExists", "StartLimitBurst",
                                        "StartLimitIntervalSec", "RequiresMountsFor", *DEPENDENCY_KEYS), "Unit"),
                       **dict.fromkeys(("Restart", "RestartSec", "TimeoutStartSec", "TimeoutStopSec", "ExecStartPre",
                                        "ExecStartPost", "ExecStop", "ExecStopPost", "ExecReload", "RemainAfterExit", "Slice",
                                        "MemoryMax", "CPUQuota", "Nice", "WorkingDirectory"), "Service"),
                       **dict.fromkeys(INSTALL_KEYS, "Install")}


def kind_of(name: str) -> Kind | None:
    """The kind of a file by its name; None: no Quadlet."""
    dot = name.rfind(".")
    return KINDS.get(name[dot:]) if dot >= 0 else None


def suggest(group: str, key: str) -> str:
    """What may have been meant by an unknown key of a group, "" if nothing comes to mind."""
    known = KEYS[group]
    lower = {k.lower(): k for k in known}
    for word in (key.lower(), key.lower().replace("-", "").replace("_", "")):
        if word in lower:
            return lower[word]
    meant = _MEANT.get(key.lower().replace("-", "_"), "")
    if meant in known:
        return meant
    if key in _ELSEWHERE:
        return f"{key} in the group {_ELSEWHERE[key]}"
    return nearest(key, known)
