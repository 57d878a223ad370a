"""What containers.conf says that has no meaning here, for `info --debug`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from podlike.config import Config

_NETWORKS: "Final" = "there are no named networks"
_SERVICE: "Final" = "there is no REST service"
_BUILD: "Final" = "images are not built"
# Every key of podman 5.8's containers.conf(5) that no command obeys, and why.
NO_MEANING: "Final[dict[str, str]]" = {
    "containers.interface_name": _NETWORKS,
    "containers.label": "containers get no SELinux label",
    "containers.label_users": "containers get no SELinux label",
    "containers.userns_size": "--userns=auto is not there",
    "engine.active_service": "podlike runs containers on this host only",
    "engine.cgroup_check": "it is podman's note to itself",
    "engine.chown_copied_files": "cp has --archive",
    "engine.compat_api_enforce_docker_hub": _SERVICE,
    "engine.compose_providers": "there is no compose command",
    "engine.compose_warning_logs": "there is no compose command",
    "engine.conmonrs_path": "the monitor is podlike-conmon or conmon",
    "engine.database_backend": "the database is SQLite's",
    "engine.enable_port_reservation": "the network's helper holds the ports itself",
    "engine.exit_command_delay": _SERVICE,
    "engine.image_build_format": _BUILD,
    "engine.image_copy_tmp_dir": "unfinished downloads lie in the store, so that they need not be copied",
    "engine.image_default_format": _BUILD,
    "engine.image_default_transport": "names without a transport are names of registries",
    "engine.infra_command": "a pod's namespaces are held by a program of podlike's own",
    "engine.infra_image": "a pod's namespaces are held by a program of podlike's own",
    "engine.kube_generate_type": "there is no kube command",
    "engine.lock_type": "locks are files, as many as are needed",
    "engine.namespace": "all containers are in one namespace",
    "engine.num_locks": "locks are files, as many as are needed",
    "engine.podmansh_timeout": "there is no podmansh",
    "engine.remote_identity": "podlike runs containers on this host only",
    "engine.remote_uri": "podlike runs containers on this host only",
    "engine.runtime_path": "runtimes are found by the table [engine.runtimes] and on PATH",
    "engine.runtime_supports_json": "the errors of every runtime are read alike",
    "engine.runtime_supports_kvm": "runtimes are used as they are named",
    "engine.runtime_supports_nocgroup": "every runtime is told in config.json",
    "engine.service_timeout": _SERVICE,
    "engine.static_dir": "the database lies in the data directory; --root moves both",
    "engine.tmp_dir": "what is lost at a reboot lies in the runtime directory; --runroot moves it",
    "engine.volume_plugin_timeout": "there are no volume plugins",
    "engine.volume_plugins": "there are no volume plugins",
    "network.cni_plugin_dirs": _NETWORKS,
    "network.default_network": _NETWORKS,
    "network.default_subnet": _NETWORKS,
    "network.default_subnet_pools": _NETWORKS,
    "network.dns_bind_port": _NETWORKS,
    "network.firewall_driver": _NETWORKS,
    "network.netavark_plugin_dirs": _NETWORKS,
    "network.network_backend": _NETWORKS,
    "network.network_config_dir": _NETWORKS,
}
# Tables that are other programs' business.
OTHER_TABLES: "Final[dict[str, str]]" = {
    "configmaps": "there is no kube command", "farms": "there is no farm command", "machine": "there are no virtual machines",
    "podmansh": "there is no podmansh", "secrets": "there are no secrets",
}


def report(config: "Config") -> "dict[str, Any]":
    """Which files were read; of their keys those without meaning here, and those that nobody knows; all without meaning."""
    ignored = [{"key": key, "file": path, "why": NO_MEANING[key]} for key, path in config.given.items() if key in NO_MEANING]
    return {"files": config.files, "modules": config.modules, "ignored": ignored,
            "unknown": [{"key": key, "file": path} for path, key in config.unknown], "withoutMeaning": NO_MEANING | OTHER_TABLES}
