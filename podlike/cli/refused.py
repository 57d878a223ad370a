"""What this version cannot do, and the words for it: loaded only when something is refused."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

_NO_NETWORKS: "Final" = "it takes a named network, and there are none yet"
# What each flag would need, for the part of the message behind the colon.
_WHY: "Final" = {
    "decryption-key": "encrypted images cannot be decrypted",
    "ip": _NO_NETWORKS, "ip6": _NO_NETWORKS, "mac-address": _NO_NETWORKS, "network-alias": _NO_NETWORKS,
    "link": _NO_NETWORKS, "link-local-ip": "no network driver can give a container such an address",
    "rdt-class": "the OCI runtime has no Intel RDT",
    "secret": "there are no secrets yet",
    "storage-opt": "no storage driver that a user can mount has a limit for one container",
    "subgidname": "the user namespace of a container takes its ids from your own ranges",
    "subuidname": "the user namespace of a container takes its ids from your own ranges",
    "use-api-socket": "there is no API socket without a daemon",
    "volume-driver": "there are no volume plugins, and only the driver local",
}
_HINTS: "Final" = {
    "ip": "Publish a port with -p, or join the network of another container with --network container:NAME.",
    "link": "Give both containers one network: --network container:NAME, and talk to 127.0.0.1.",
    "secret": "Mount a file with -v FILE:/run/secrets/NAME:ro.",
    "subuidname": "Use --userns=keep-id, or --uidmap with ids of your own range.",
    "subgidname": "Use --userns=keep-id, or --gidmap with ids of your own range.",
    "storage-opt": "Leave it out; a quota of the file system limits all of your containers.",
    "volume-driver": "Leave it out, or give --volume-driver local.",
}


def refuse(flag: str, why: str = "", hint: str = "") -> "NoReturn":
    """flag: without its dashes, or FLAG=VALUE where only the value is refused. Raises: UsageError."""
    why = why or _WHY.get(flag, "")
    raise UsageError(f"--{flag} is not supported by this version of podlike{f': {why}' if why else ''}",
                     hint=hint or _HINTS.get(flag, "Leave it out, if the container can do without."))
