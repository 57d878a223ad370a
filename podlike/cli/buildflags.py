"""The flags of `build`."""

from podlike.cli.command import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What every RUN is given, with the meaning that `create` gives it: name, short, kind, help.
_OF_RUN = (
    ("add-host", "", "array", "add a custom host-to-IP mapping (`host:ip`) (default [])"),
    ("cap-add", "", "strings", "add the specified capability when running (default [])"),
    ("cap-drop", "", "strings", "drop the specified capability when running (default [])"),
    ("cgroup-parent", "", "string", "optional parent cgroup for the container"),
    ("cgroupns", "", "string", "'private', or 'host'"),
    ("cpu-period", "", "uint", "limit the CPU CFS (Completely Fair Scheduler) period"),
    ("cpu-quota", "", "int", "limit the CPU CFS (Completely Fair Scheduler) quota"),
    ("cpu-shares", "c", "uint", "CPU shares (relative weight)"),
    ("cpuset-cpus", "", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    ("cpuset-mems", "", "string", "memory nodes (MEMs) in which to allow execution (0-3, 0,1). Only effective on NUMA systems."),
    ("device", "", "array", "additional devices to provide"),
    ("dns", "", "strings", "set custom DNS servers or disable it completely by setting it to 'none'"),
    ("dns-option", "", "strings", "set custom DNS options"),
    ("dns-search", "", "strings", "set custom DNS search domains"),
    ("group-add", "", "strings", "add additional groups to the primary container process"),
    ("http-proxy", "", "bool", "pass through HTTP Proxy environment variables"),
    ("ipc", "", "string", "'private', `path` of IPC namespace to join, or 'host'"),
    ("memory", "m", "string", "memory limit (format: <number>[<unit>], where unit = b, k, m or g)"),
    ("memory-swap", "", "string", "swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    ("network", "", "string", "'none', 'host', or a driver of user space"),
    ("no-hosts", "", "bool", "do not create new /etc/hosts files for RUN instructions, use the one from the base image."),
    ("no-hostname", "", "bool", "do not create new /etc/hostname file for RUN instructions, use the one from the base image."),
    ("pid", "", "string", "private, `path` of PID namespace to join, or 'host'"),
    ("security-opt", "", "array", "security options (default [])"),
    ("shm-size", "", "string", "size of '/dev/shm'. The format is `<number><unit>`."),
    ("ulimit", "", "strings", "ulimit options"),
    ("uts", "", "string", "private, :`path` of UTS namespace to join, or 'host'"),
    ("volume", "v", "array", "bind mount a volume into the container"),
)
OF_RUN: "Final" = tuple(name for name, *_ in _OF_RUN)

_OTHERS = (
    Flag("annotation", "", "array", "set metadata for an image (default [])"),
    Flag("arch", "", "string", "set the ARCH of the image to the provided value instead of the architecture of the host",
         aliases=("override-arch",)),
    Flag("authfile", "", "string", "path of the authentication file."),
    Flag("build-arg", "", "array", "`argument=value` to supply to the builder"),
    Flag("build-arg-file", "", "array", "`argfile.conf` containing lines of argument=value to supply to the builder"),
    Flag("build-context", "", "array", "`argument=value` to supply additional build context to the builder"),
    Flag("cert-dir", "", "string", "use certificates at the specified path to access the registry"),
    Flag("compat-volumes", "", "bool", "preserve the contents of VOLUMEs during RUN instructions"),
    Flag("compress", "", "bool", "this is a legacy option, which has no effect on the image"),
    Flag("creds", "", "string", "use `[username[:password]]` for accessing the registry"),
    Flag("disable-compression", "D", "bool", "don't compress layers by default", True),
    Flag("disable-content-trust", "", "bool", "this is a Docker specific option and is a NOOP"),
    Flag("env", "", "array", "set environment variable for the image"),
    Flag("file", "f", "array", "`pathname or URL` of a Dockerfile"),
    Flag("force-rm", "", "bool", "always remove intermediate containers after a build, even if the build is unsuccessful.", True),
    Flag("format", "", "string", "`format` of the built image's manifest and metadata. Use BUILDAH_FORMAT environment variable "
                                 "to override.", "oci"),
    Flag("from", "", "string", "image name used to replace the value in the first FROM instruction in the Containerfile"),
    Flag("identity-label", "", "bool", "add default identity label", True),
    Flag("ignorefile", "", "string", "path to an alternate .dockerignore file"),
    Flag("iidfile", "", "string", "`file` to write the image ID to"),
    Flag("iidfile-raw", "", "string", "`file` to write the image ID to, without its algorithm"),
    Flag("inherit-annotations", "", "bool", "inherit the annotations from the base image or base stages.", True),
    Flag("inherit-labels", "", "bool", "inherit the labels from the base image or base stages.", True),
    Flag("isolation", "", "string", "`type` of process isolation to use: oci, rootless"),
    Flag("jobs", "", "int", "how many stages to run in parallel", 1),
    Flag("label", "", "array", "set metadata for an image (default [])"),
    Flag("layers", "", "bool", "use intermediate layers during build. Use BUILDAH_LAYERS environment variable to override.",
         True),
    Flag("logfile", "", "string", "log to `file` instead of stdout/stderr"),
    Flag("metadata-file", "", "string", "`file` to write metadata about the image to"),
    Flag("no-cache", "", "bool", "do not use existing cached images for the container build. Build from the start with a new set "
                                 "of cached layers."),
    Flag("omit-history", "", "bool", "omit build history information from built image"),
    Flag("os", "", "string", "set the OS to the provided value instead of the current operating system of the host",
         aliases=("override-os",)),
    Flag("output", "o", "array", "output destination (format: type=local,dest=path)"),
    Flag("platform", "", "string", "set the `OS/ARCH[/VARIANT]` of the image to the provided value"),
    Flag("pull", "", "string", "pull base and SBOM scanner images from the registry. Values: always, missing, never, newer",
         "missing", bare="always"),
    Flag("pull-always", "", "bool", "pull the image even if the named image is present in store", hidden=True),
    Flag("pull-never", "", "bool", "do not pull the image, use the image present in store if available", hidden=True),
    Flag("quiet", "q", "bool", "refrain from announcing build instructions and image read/write progress"),
    Flag("retry", "", "uint", "number of times to retry in case of failure when performing push/pull", 3),
    Flag("retry-delay", "", "duration", "delay between retries in case of push/pull failures"),
    Flag("rm", "", "bool", "remove intermediate containers after a successful build", True),
    Flag("runtime-flag", "", "array", "add global flags for the container runtime"),
    Flag("secret", "", "array", "secret file to expose to the build"),
    Flag("skip-unused-stages", "", "bool", "skips stages in multi-stage builds which do not affect the final target", True),
    Flag("source-date-epoch", "", "string", "set new timestamps in image info to `seconds` after the epoch"),
    Flag("squash", "", "bool", "squash all image layers that are new into a single layer."),
    Flag("squash-all", "", "bool", "squash all layers (including those of the base image) into a single layer."),
    Flag("ssh", "", "array", "SSH agent socket to expose to the build. (format: default|<id>[=<socket>])"),
    Flag("stdin", "", "bool", "pass stdin into containers"),
    Flag("tag", "t", "array", "tagged `name` to apply to the built image"),
    Flag("target", "", "string", "set the target build stage to build"),
    Flag("timestamp", "", "string", "set new timestamps in image info and layer to `seconds` after the epoch"),
    Flag("tls-verify", "", "bool", "require HTTPS and verify certificates when accessing the registry", True),
    Flag("unsetenv", "", "strings", "unset environment variable from final image"),
    Flag("unsetlabel", "", "strings", "unset label when inheriting labels from base image"),
    Flag("variant", "", "string", "override the `variant` of the specified image", aliases=("override-variant",)),
    Flag("load", "", "bool", "buildx --load", hidden=True),
    Flag("progress", "", "string", "buildx --progress", hidden=True),
)

# What is not there: name -> kind. Each is refused in words.
REFUSED: "Final[dict[str, str]]" = {
    "all-platforms": "bool", "cache-from": "array", "cache-to": "array", "cache-ttl": "string", "cpp-flag": "array",
    "created-annotation": "bool", "cw": "string", "decryption-key": "strings", "hooks-dir": "array", "layer-label": "array",
    "logsplit": "bool", "manifest": "string", "mount": "array", "os-feature": "array", "os-version": "string",
    "rewrite-timestamp": "bool", "save-stages": "bool", "sbom": "string", "sbom-image-output": "string",
    "sbom-image-purl-output": "string", "sbom-merge-strategy": "string", "sbom-output": "string", "sbom-purl-output": "string",
    "sbom-scanner-command": "array", "sbom-scanner-image": "string", "sign-by": "string", "source-policy-file": "string",
    "stage-labels": "bool", "unsetannotation": "strings", "userns": "string", "userns-gid-map": "string",
    "userns-gid-map-group": "string", "userns-uid-map": "string", "userns-uid-map-user": "string"}
# Of the refused ones, what says what is the case anyway.
HARMLESS: "Final[dict[str, tuple[str, ...]]]" = {"userns": ("host", ""), "created-annotation": ("True",)}

FLAGS: "Final" = (
    *(Flag(name, short, kind, text, True if name == "http-proxy" else None,
           aliases={"dns-option": ("dns-opt",), "network": ("net",)}.get(name, ())) for name, short, kind, text in _OF_RUN),
    *_OTHERS, *(Flag(name, "", kind, "(refused: not there yet)") for name, kind in REFUSED.items()))
