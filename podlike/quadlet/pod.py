""".pod files: a service that makes a pod and starts it; its containers are services of their own."""

from podlike.quadlet import options
from podlike.quadlet.translation import Translation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PID_FILE: "Final" = "%t/%N.pid"
_STRINGS: "Final" = (("IP", "--ip"), ("IP6", "--ip6"), ("ShmSize", "--shm-size"))
_REPEATED: "Final" = (("NetworkAlias", "--network-alias"), ("DNS", "--dns"), ("DNSOption", "--dns-option"),
                      ("DNSSearch", "--dns-search"), ("AddHost", "--add-host"), ("HostName", "--hostname"))


def translate(t: Translation) -> None:
    """Comes last, when all containers have said that they belong to it. Raises: RefusedUnit."""
    name = t.entry.resource
    for service in t.entry.to_start:
        t.service.add("Unit", "Wants", service)
        t.service.add("Unit", "Before", service)
    t.set_default("SyslogIdentifier", "%N")
    t.execute("ExecStart", t.command("pod", "start", name))
    timeout = t.given("StopTimeout")
    t.execute("ExecStop", t.command("pod", "stop", "--ignore", f"--time={'10' if timeout is None else timeout}", name))
    t.execute("ExecStopPost", t.command("pod", "rm", "--ignore", "--force", name))
    policy = t.given("ExitPolicy")
    create = t.command("pod", "create", f"--infra-conmon-pidfile={_PID_FILE}", "--replace",
                       "--exit-policy", "stop" if policy is None else policy)
    create += options.user_mappings(t, manual=True) + t.repeated((("PublishPort", "--publish"),))
    create += t.repeated_pairs((("Label", "--label"),)) + options.networks(t)
    create += t.strings(_STRINGS) + t.repeated(_REPEATED) + options.volumes(t)
    create += ["--infra-name", f"{name}-infra", "--name", name, *t.extra()]
    t.execute("ExecStartPre", create)
    t.service.add("Service", "Environment", "PODMAN_SYSTEMD_UNIT=%n")
    t.service.set("Service", "Type", "forking")
    t.service.set("Service", "PIDFile", _PID_FILE)
    t.set_default("Restart", "on-failure")
