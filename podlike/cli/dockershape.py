"""Documents in docker's shape, for `inspect`, `info` and `version` called as docker.

Source: moby's API types, docker/cli's formatters.
"""

import os

from podlike import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    Document = dict[str, Any]

# The version of docker's API whose words the command line follows, and the oldest: tools compare them.
API_VERSION: "Final" = "1.44"
MIN_API_VERSION: "Final" = "1.24"
_STATES: "Final" = {"initialized": "created", "stopped": "exited", "stopping": "running", "unknown": "dead"}
_STATE: "Final" = ("Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode", "Error", "StartedAt", "FinishedAt")
_HOST: "Final" = (
    "Binds", "ContainerIDFile", "LogConfig", "NetworkMode", "PortBindings", "RestartPolicy", "AutoRemove", "VolumeDriver",
    "VolumesFrom", "ConsoleSize", "CapAdd", "CapDrop", "CgroupnsMode", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd",
    "IpcMode", "Cgroup", "Links", "OomScoreAdj", "PidMode", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "SecurityOpt",
    "UTSMode", "UsernsMode", "ShmSize", "Runtime", "Isolation", "CpuShares", "Memory", "NanoCpus", "CgroupParent", "BlkioWeight",
    "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "CpuPeriod",
    "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpusetCpus", "CpusetMems", "Devices", "DeviceCgroupRules",
    "DeviceRequests", "MemoryReservation", "MemorySwap", "MemorySwappiness", "OomKillDisable", "PidsLimit", "Ulimits", "CpuCount",
    "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth", "MaskedPaths", "ReadonlyPaths")
_CONFIG: "Final" = ("Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Tty",
                    "OpenStdin", "StdinOnce", "Env", "Cmd", "Healthcheck", "Image", "Volumes", "WorkingDir", "Entrypoint",
                    "OnBuild", "Labels", "StopSignal", "StopTimeout")


def container(doc: "Document", *, tmpfs: "dict[str, str]") -> "Document":
    """A container's document, from podman's. tmpfs: as it was asked for; docker does not show what was added."""
    state = doc["State"]
    out: "Document" = {
        "Id": doc["Id"], "Created": doc["Created"], "Path": doc["Path"], "Args": doc["Args"],
        "State": {"Status": _STATES.get(state["Status"], state["Status"]), **{key: state[key] for key in _STATE}},
        "Image": f"sha256:{doc['Image']}" if doc["Image"] else "", "ResolvConfPath": doc["ResolvConfPath"],
        "HostnamePath": doc["HostnamePath"], "HostsPath": doc["HostsPath"],
        "LogPath": doc["HostConfig"]["LogConfig"].get("Path", ""), "Name": f"/{doc['Name']}", "RestartCount": doc["RestartCount"],
        "Driver": doc["Driver"], "Platform": "linux", "MountLabel": doc["MountLabel"], "ProcessLabel": doc["ProcessLabel"],
        "AppArmorProfile": doc["AppArmorProfile"], "ExecIDs": doc["ExecIDs"] or None, "HostConfig": _host(doc, tmpfs),
        "GraphDriver": doc["GraphDriver"]}
    if "Health" in state:
        out["State"]["Health"] = state["Health"]
    for key in ("SizeRw", "SizeRootFs"):
        if key in doc:
            out[key] = doc[key]
    mounts = [{k: m[k] for k in ("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation")
               if k in m and (m["Type"] == "volume" or k != "Driver")} for m in doc["Mounts"]]
    return out | {"Mounts": mounts, "Config": _config(doc["Config"]), "NetworkSettings": _network(doc["NetworkSettings"])}


def _host(doc: "Document", tmpfs: "dict[str, str]") -> "Document":
    host = dict(doc["HostConfig"])
    host["LogConfig"] = {"Type": host["LogConfig"]["Type"], "Config": host["LogConfig"]["Config"] or {}}
    for key in ("PidMode", "UTSMode"):
        host[key] = "" if host[key] == "private" else host[key]
    host["NetworkMode"] = "default" if host["NetworkMode"] in ("pasta", "slirp4netns", "") else host["NetworkMode"]
    host |= {"CgroupnsMode": host.get("CgroupMode", ""), "DeviceCgroupRules": None, "DeviceRequests": None,
             "Runtime": doc["OCIRuntime"], "MemorySwappiness": None, "OomKillDisable": host.get("OomKillDisable") or None,
             "PidsLimit": host.get("PidsLimit") or None, "MaskedPaths": None, "ReadonlyPaths": None}
    return {key: host.get(key) for key in _HOST} | ({"Tmpfs": tmpfs} if tmpfs else {}) | (
        {"Init": True} if host.get("Init") else {})


def _config(config: "Document") -> "Document":
    out = {key: config[key] for key in _CONFIG if key in config}
    return out | {"Image": familiar(config["Image"]), "Labels": config["Labels"] or {}}


def _network(net: "Document") -> "Document":
    first = ("Bridge", "SandboxID", "SandboxKey", "Ports", "HairpinMode", "LinkLocalIPv6Address", "LinkLocalIPv6PrefixLen")
    last = ("EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen", "IPv6Gateway",
            "MacAddress", "Networks")
    return {**{key: net[key] for key in first}, "SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None,
            **{key: net[key] for key in last}}


def familiar(name: str) -> str:
    """docker's short form: docker.io/library/x:tag is x:tag."""
    return name.removeprefix("docker.io/").removeprefix("library/") if name.startswith("docker.io/") else name


def version(described: "Document") -> "Document":
    """Client and Server: one program, there is no daemon. described: podman's Client part."""
    system, _, machine = described["OsArch"].partition("/")
    common = {"GitCommit": described["GitCommit"], "GoVersion": described["GoVersion"], "Os": system, "Arch": machine}
    client = {"Platform": {"Name": "podlike"}, "Version": __version__, "ApiVersion": API_VERSION, "APIVersion": API_VERSION,
              "DefaultAPIVersion": API_VERSION, **common, "BuildTime": described["BuiltTime"], "Context": "default"}
    detail = {"ApiVersion": API_VERSION, "Arch": machine, "BuildTime": described["BuiltTime"], "Experimental": "false",
              "GitCommit": described["GitCommit"], "GoVersion": described["GoVersion"], "KernelVersion": os.uname().release,
              "MinAPIVersion": MIN_API_VERSION, "Os": system}
    server = {"Platform": {"Name": "podlike"}, "Components": [{"Name": "Engine", "Version": __version__, "Details": detail}],
              "Version": __version__, "ApiVersion": API_VERSION, "APIVersion": API_VERSION, "MinAPIVersion": MIN_API_VERSION,
              **common, "KernelVersion": os.uname().release, "BuildTime": described["BuiltTime"], "Experimental": False}
    return {"Client": client, "Server": server}


def version_lines(doc: "Document") -> "list[str]":
    client, server = doc["Client"], doc["Server"]

    def rows(part: "Document", api: str, indent: str, width: int) -> "list[str]":
        pairs = (("Version", part["Version"]), ("API version", api), ("Go version", part["GoVersion"]),
                 ("Git commit", part["GitCommit"]), ("Built", part["BuildTime"]), ("OS/Arch", f"{part['Os']}/{part['Arch']}"))
        return [f"{indent}{name + ':':<{width}}{value}".rstrip() for name, value in pairs]

    return ["Client:", *rows(client, API_VERSION, " ", 19), " Context:           default", "",
            "Server: podlike Engine", " Engine:",
            *rows(server, f"{API_VERSION} (minimum version {MIN_API_VERSION})", "  ", 18), "  Experimental:     false"]


def info(doc: "Document") -> "Document":
    """docker's info, from podman's document."""
    host, store, plugins = doc["host"], doc["store"], doc["plugins"]
    security = [name for name, on in (("name=seccomp,profile=builtin", host["security"]["seccompEnabled"]),
                                      ("name=apparmor", host["security"]["apparmorEnabled"]),
                                      ("name=selinux", host["security"]["selinuxEnabled"]),
                                      ("name=rootless", host["security"]["rootless"]), ("name=cgroupns", True)) if on]
    has = set(host["cgroupControllers"])
    runtime = host["ociRuntime"]
    distribution = host["distribution"]
    return {
        "ID": "", "Containers": store["containerStore"]["number"], "ContainersRunning": store["containerStore"]["running"],
        "ContainersPaused": store["containerStore"]["paused"], "ContainersStopped": store["containerStore"]["stopped"],
        "Images": store["imageStore"]["number"], "Driver": store["graphDriverName"],
        "DriverStatus": [[key, value] for key, value in store["graphStatus"].items()],
        "Plugins": {"Volume": plugins["volume"], "Network": plugins["network"], "Authorization": None, "Log": plugins["log"]},
        "MemoryLimit": "memory" in has, "SwapLimit": "memory" in has, "CpuCfsPeriod": "cpu" in has, "CpuCfsQuota": "cpu" in has,
        "CPUShares": "cpu" in has, "CPUSet": "cpuset" in has, "PidsLimit": "pids" in has, "IPv4Forwarding": True, "Debug": False,
        "NFd": 0, "OomKillDisable": False, "NGoroutines": 0, "SystemTime": "", "LoggingDriver": host["logDriver"],
        "CgroupDriver": host["cgroupManager"], "CgroupVersion": host["cgroupVersion"].removeprefix("v"), "NEventsListener": 0,
        "KernelVersion": host["kernel"],
        "OperatingSystem": f"{distribution['distribution']} {distribution['version']}", "OSVersion": distribution["version"],
        "OSType": "linux", "Architecture": os.uname().machine, "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {}, "NCPU": host["cpus"], "MemTotal": host["memTotal"], "GenericResources": None,
        "DockerRootDir": store["graphRoot"], "HttpProxy": os.environ.get("http_proxy", ""),
        "HttpsProxy": os.environ.get("https_proxy", ""), "NoProxy": os.environ.get("no_proxy", ""), "Name": host["hostname"],
        "Labels": [], "ExperimentalBuild": False, "ServerVersion": __version__,
        "Runtimes": {runtime["name"]: {"path": runtime["path"]}}, "DefaultRuntime": runtime["name"],
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
                  "RemoteManagers": None},
        "LiveRestoreEnabled": True, "Isolation": "", "InitBinary": "podlike-init", "SecurityOptions": security, "Warnings": None,
        "ClientInfo": {"Debug": False, "Version": __version__, "Context": "default", "Plugins": [], "Warnings": None}}


def info_lines(doc: "Document") -> "list[str]":
    memory = f"{doc['MemTotal'] / (1 << 30):.4g}GiB"
    lines = ["Client:", f" Version:    {__version__}", " Context:    default", " Debug Mode: false", "", "Server:",
             f" Containers: {doc['Containers']}", f"  Running: {doc['ContainersRunning']}",
             f"  Paused: {doc['ContainersPaused']}", f"  Stopped: {doc['ContainersStopped']}",
             f" Images: {doc['Images']}", f" Server Version: {doc['ServerVersion']}",
             f" Storage Driver: {doc['Driver']}", *(f"  {key}: {value}" for key, value in doc["DriverStatus"]),
             f" Logging Driver: {doc['LoggingDriver']}", f" Cgroup Driver: {doc['CgroupDriver']}",
             f" Cgroup Version: {doc['CgroupVersion']}", " Plugins:", f"  Volume: {' '.join(doc['Plugins']['Volume'])}",
             f"  Network: {' '.join(doc['Plugins']['Network'])}", f"  Log: {' '.join(doc['Plugins']['Log'])}",
             " Swarm: inactive", f" Runtimes: {' '.join(doc['Runtimes'])}", f" Default Runtime: {doc['DefaultRuntime']}",
             f" Init Binary: {doc['InitBinary']}", " Security Options:"]
    for option in doc["SecurityOptions"]:
        name, *rest = option.split(",")
        lines.append(f"  {name.removeprefix('name=')}")
        lines += [f"   {key.capitalize()}: {value}" for key, _, value in (word.partition("=") for word in rest)]
    return [*lines, f" Kernel Version: {doc['KernelVersion']}", f" Operating System: {doc['OperatingSystem']}",
            f" OSType: {doc['OSType']}", f" Architecture: {doc['Architecture']}", f" CPUs: {doc['NCPU']}",
            f" Total Memory: {memory}",
            f" Name: {doc['Name']}", f" Docker Root Dir: {doc['DockerRootDir']}", " Debug Mode: false",
            " Experimental: false", " Live Restore Enabled: true"]
