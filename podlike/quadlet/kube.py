""".kube files: a service that plays Kubernetes YAML."""

from podlike.quadlet import options
from podlike.quadlet.translation import Translation, check_kill_mode, service_type


def translate(t: Translation) -> None:
    """Raises: RefusedUnit."""
    paths = [t.absolute(path) for path in t.names("Yaml")]
    if not paths:
        t.refuse("no Yaml key specified", "Yaml")
    check_kill_mode(t)
    t.service.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n")
    if service_type(t) != "oneshot":  # which is for YAML without containers
        t.service.set("Service", "Type", "notify")
        t.service.set("Service", "NotifyAccess", "all")
    t.set_default("SyslogIdentifier", "%N")
    play = t.command("kube", "play", "--replace", "--service-container=true")
    if t.text("ExitCodePropagation"):
        play.append(f"--service-exit-code-propagation={t.text('ExitCodePropagation')}")
    play += t.strings((("LogDriver", "--log-driver"),)) + t.repeated_names((("LogOpt", "--log-opt"),))
    play += options.user_mappings(t, manual=False) + options.networks(t) + _auto_update(t)
    play += [word for path in t.names("ConfigMap") for word in ("--configmap", t.absolute(path))]
    play += t.repeated((("PublishPort", "--publish"),)) + t.extra() + paths
    t.execute("ExecStart", play)
    # Not ExecStop, which systemd leaves out when the start failed.
    t.execute("ExecStopPost", t.command("kube", "down", *t.booleans((("KubeDownForce", "--force"),)), *paths))
    options.working_directory(t)


def _auto_update(t: Translation) -> list[str]:
    """--annotation for "registry", "local", and "CONTAINER/registry"."""
    out = []
    for update in t.names("AutoUpdate"):
        name, slash, policy = update.partition("/")
        container = f"/{name}" if slash else ""
        out.append(f"--annotation=io.containers.autoupdate{container}={policy if slash else update}")
    return out
