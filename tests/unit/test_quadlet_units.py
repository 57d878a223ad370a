"""What services are made of Quadlets, and what is said about those that none can be made of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlike.quadlet import keys, values
from podlike.quadlet.problems import ERROR, WARNING, Problem
from podlike.quadlet.translate import Result, translate_all
from podlike.quadlet.unitfile import UnitFile, parse
from podlike.quadlet.words import split_words


def unit(name: str, text: str) -> UnitFile:
    problems: list[Problem] = []
    found = parse(text, f"/q/{name}", problems)
    assert not problems
    return found


def translate(*files: tuple[str, str], user: bool = False, there: tuple[str, ...] = ()) -> dict[str, Result]:
    results = translate_all([unit(*f) for f in files], program=("/bin/podlike",), user=user, exists=there.__contains__)
    return {r.entry.unit.name: r for r in results}


def service(*files: tuple[str, str], user: bool = False) -> UnitFile:
    """That of the first file."""
    result = translate(*files, user=user)[files[0][0]]
    assert result.service is not None, [p.line for p in result.problems]
    return result.service


def words(made: UnitFile, key: str = "ExecStart") -> list[str]:
    return split_words(made.text("Service", key) or "", unescape=True)


def has(line: list[str], *part: str) -> bool:
    return any(line[i:i + len(part)] == list(part) for i in range(len(line)))


def values_of(made: UnitFile, group: str, key: str) -> list[str]:
    return [line.value for line in made.lines(group, key)]


C = "[Container]\nImage=localhost/i\n"


def test_the_simplest_container() -> None:
    made = service(("web.container", C + "Exec=sh -c 'a b'\n"))
    assert made.name == "web.service"
    assert words(made) == ["/bin/podlike", "run", "--name", "systemd-%N", "--replace", "--rm", "--cgroups=split",
                           "--sdnotify=conmon", "-d", "localhost/i", "sh", "-c", "a b"]
    assert words(made, "ExecStop") == ["/bin/podlike", "rm", "-v", "-f", "-i", "systemd-%N"]
    assert words(made, "ExecStopPost") == ["-/bin/podlike", "rm", "-v", "-f", "-i", "systemd-%N"]
    expected = {"Type": "notify", "NotifyAccess": "all", "KillMode": "mixed", "Delegate": "yes", "SyslogIdentifier": "%N",
                "Environment": "PODMAN_SYSTEMD_UNIT=%n"}
    assert {key: made.text("Service", key) for key in expected} == expected
    assert "X-Container" in made.groups and "Container" not in made.groups
    assert [(line.key, line.value) for line in made.groups["Unit"].lines] == [
        ("Wants", "network-online.target"), ("After", "network-online.target"), ("SourcePath", "/q/web.container"),
        ("RequiresMountsFor", "%t/containers")]


@pytest.mark.parametrize(("text", "expected"), [
    ("Timezone=local", "--tz local"), ("PidsLimit=10", "--pids-limit 10"), ("ShmSize=1m", "--shm-size 1m"),
    ("WorkingDir=/w", "--workdir /w"), ("IP=1.2.3.4", "--ip 1.2.3.4"), ("IP6=fd::1", "--ip6 fd::1"),
    ("HostName=h", "--hostname h"), ("StopSignal=INT", "--stop-signal INT"), ("StopTimeout=5", "--stop-timeout 5"),
    ("Pull=never", "--pull never"), ("Memory=1g", "--memory 1g"), ("Retry=3", "--retry 3"), ("RetryDelay=1s", "--retry-delay 1s"),
    ("NetworkAlias=a", "--network-alias a"), ("Ulimit=nofile=1:2", "--ulimit nofile=1:2"), ("DNS=1.1.1.1", "--dns 1.1.1.1"),
    ("DNSOption=ndots:1", "--dns-option ndots:1"), ("DNSSearch=a.b", "--dns-search a.b"), ("GroupAdd=g", "--group-add g"),
    ("AddHost=a:1.2.3.4", "--add-host a:1.2.3.4"), ("Tmpfs=/t:ro", "--tmpfs /t:ro"), ("RunInit=yes", "--init"),
    ("RunInit=no", "--init=false"), ("EnvironmentHost=1", "--env-host"), ("HttpProxy=off", "--http-proxy=false"),
    ("ReadOnlyTmpfs=true", "--read-only-tmpfs"), ("ReadOnly=true", "--read-only"), ("LogDriver=none", "--log-driver none"),
    ("LogOpt=a=b c=d", "--log-opt a=b --log-opt c=d"), ("CgroupsMode=enabled", "--cgroups enabled"),
    ("Entrypoint=", "--entrypoint="), ("Entrypoint=/e", "--entrypoint=/e"),
    ("NoNewPrivileges=on", "--security-opt=no-new-privileges"),
    ("SecurityLabelDisable=true", "--security-opt label=disable"), ("SecurityLabelNested=true", "--security-opt label=nested"),
    ("SecurityLabelType=t", "--security-opt label=type:t"), ("SecurityLabelFileType=t", "--security-opt label=filetype:t"),
    ("SecurityLabelLevel=s0", "--security-opt label=level:s0"), ("AppArmor=p", "--security-opt apparmor=p"),
    ("SeccompProfile=/s", "--security-opt seccomp=/s"), ("AddDevice=/dev/a:/dev/b", "--device /dev/a:/dev/b"),
    ("AddDevice=-/dev/there /x", "--device /dev/there --device /x"), ("AddDevice=-/dev/gone:/dev/x /y", "--device /y"),
    ("DropCapability=ALL", "--cap-drop all"), ("AddCapability=CAP_A CAP_B", "--cap-add cap_a --cap-add cap_b"),
    ("Sysctl=a=1 b=2", "--sysctl a=1 --sysctl b=2"), ("User=u", "--user u"), ("User=u\nGroup=g", "--user u:g"),
    ("UserNS=keep-id", "--userns keep-id"), ("UIDMap=0:1:2 3:4:5", "--uidmap 0:1:2 --uidmap 3:4:5"),
    ("GIDMap=0:1:2", "--gidmap 0:1:2"),
    ("SubUIDMap=u", "--subuidname u"), ("SubGIDMap=u", "--subgidname u"),
    ("RemapUsers=auto\nRemapUidSize=0x10", "--userns auto:size=16"),
    ("RemapUsers=keep-id\nRemapUid=5", "--userns keep-id:uid=5"), ("RemapUsers=manual\nRemapUid=0:1:2", "--uidmap 0:1:2"),
    ("Volume=/a:/b:ro", "-v /a:/b:ro"), ("Volume=data:/b", "-v data:/b"), ("Volume=/only", "-v /only"),
    ("Volume=./a:/b", "-v /q/a:/b"),
    ("Volume=%h/a:/b", "-v %h/a:/b"), ("AutoUpdate=registry", "--label io.containers.autoupdate=registry"),
    ("ExposeHostPort= 50-59 ", "--expose 50-59"), ("PublishPort=80:80", "--publish 80:80"),
    ("Environment=B=2 \"A=x y\" C", "--env A=x y --env B=2 --env C"), ("Environment=A=1\nEnvironment=A=2", "--env A=2"),
    ("Label=\"a=b c\"", "--label a=b c"), ("Annotation=a=b", "--annotation a=b"), ("Mask=/a:/b", "--security-opt mask=/a:/b"),
    ("Unmask=ALL", "--security-opt unmask=ALL"), ("EnvironmentFile=e.env", "--env-file /q/e.env"),
    ("EnvironmentFile=%h/e", "--env-file %h/e"), ("EnvironmentFile=%%/e", "--env-file /q/%%/e"),
    ("Secret=s,type=env", "--secret s,type=env"),
    ("Mount=type=tmpfs,dst=/x", "--mount type=tmpfs,dst=/x"),
    ("Mount=type=bind,src=./a,dst=/b", "--mount type=bind,source=/q/a,dst=/b"),
    ("Mount=dst=/b,type=volume,source=v", "--mount type=volume,dst=/b,source=v"),
    ("HealthCmd=true && x", "--health-cmd true && x"),
    ("HealthStartupTimeout=1m", "--health-startup-timeout 1m"), ("HealthOnFailure=kill", "--health-on-failure kill"),
    ("PodmanArgs=--a \"b c\"\nPodlikeArgs=--d", "--a b c --d localhost/i"), ("Notify=yes", "--sdnotify=container -d"),
    ("Notify=HEALTHY\nHealthCmd=true", "--sdnotify=healthy -d"), ("Network=host", "--network host"),
    ("VolatileTmp=1", "--tmpfs /tmp:rw,size=512M,mode=1777"),
])
def test_keys_of_containers(text: str, expected: str) -> None:
    result = translate(("w.container", C + text + "\n"), there=("/dev/there",))["w.container"]
    assert result.service is not None, [p.line for p in result.problems]
    assert expected in " ".join(words(result.service)), words(result.service)


def test_global_options_stand_before_every_command() -> None:
    made = service(("w.container", C + "ContainersConfModule=/m\nGlobalArgs=--log-level debug\nReloadSignal=HUP\n"))
    for key in ("ExecStart", "ExecStop", "ExecStopPost", "ExecReload"):
        assert words(made, key)[1:4] == ["--module=/m", "--log-level", "debug"]
    assert words(made, "ExecReload")[4:] == ["kill", "--signal", "HUP", "systemd-%N"]


def test_reload_by_a_command() -> None:
    assert words(service(("w.container", C + "ReloadCmd=nginx -s 'a b'\n")), "ExecReload") == [
        "/bin/podlike", "exec", "systemd-%N", "nginx", "-s", "a b"]


def test_paths_with_a_percent_sign_are_not_specifiers() -> None:
    found = parse(C + "EnvironmentFile=e\n", "/q%h/w.container", [])
    made = translate_all([found], program=("p",), user=False, exists=bool)[0].service
    assert made is not None
    assert has(words(made), "--env-file", "/q%%h/e") and made.text("Unit", "SourcePath") == "/q%%h/w.container"


def test_oneshot_containers_stay_in_front() -> None:
    made = service(("w.container", C + "[Service]\nType=oneshot\n"))
    assert "-d" not in words(made) and not any("sdnotify" in w for w in words(made)) and made.text("Service",
        "NotifyAccess") is None


def test_settings_of_the_user_stay() -> None:
    made = service(("w.container",
        C + "[Service]\nSyslogIdentifier=x\nKillMode=control-group\nRestart=always\nExecStop=/bin/true\n"
                    "[Install]\nWantedBy=default.target\n"))
    assert (made.text("Service", "SyslogIdentifier"), made.text("Service", "KillMode")) == ("x", "control-group")
    assert values_of(made, "Service", "ExecStop")[0] == "/bin/true" and made.text("Install", "WantedBy") == "default.target"


@pytest.mark.parametrize(("files", "unit", "option"), [
    ((("w.container", C + "Volume=d.volume:/x:ro"), ("d.volume", "[Volume]")), "d-volume.service", ("-v", "systemd-d:/x:ro")),
    ((("w.container", C + "Volume=d.volume:/x"),
    ("d.volume", "[Volume]\nVolumeName=n\nServiceName=s")), "s.service", ("-v", "n:/x")),
    ((("w.container", C + "Network=n.network:ip=1.2.3.4"), ("n.network", "[Network]")), "n-network.service",
     ("--network", "systemd-n:ip=1.2.3.4")),
    ((("w.container", C + "Network=o.container"), ("o.container", C)), "o.service", ("--network", "container:systemd-o")),
    ((("w.container", "[Container]\nImage=i.image"), ("i.image", "[Image]\nImage=quay.io/a/b\nImageTag=quay.io/c/d")),
     "i-image.service", ("quay.io/c/d",)),
    ((("w.container", "[Container]\nImage=b.build"), ("b.build", "[Build]\nImageTag=localhost/t\nSetWorkingDirectory=unit")),
     "b-build.service", ("localhost/t",)),
    ((("w.container", C + "Mount=type=image,source=i.image,dst=/x"),
    ("i.image", "[Image]\nImage=quay.io/a/b")), "i-image.service",
     ("--mount", "type=image,source=quay.io/a/b,dst=/x")),
    ((("w.container", C + "Mount=type=artifact,source=a.artifact,dst=/x"), ("a.artifact", "[Artifact]\nArtifact=quay.io/a/b")),
     "a-artifact.service", ("--mount", "type=artifact,source=quay.io/a/b,dst=/x")),
    ((("w@.container", C + "Volume=d@.volume:/x"), ("d@.volume", "[Volume]")), "d-volume@.service", ("-v", "systemd-d-%i:/x")),
])
def test_quadlets_name_each_other(files: tuple[tuple[str, str], ...], unit: str, option: tuple[str, ...]) -> None:
    made = service(*files)
    assert unit in values_of(made, "Unit", "Requires") and unit in values_of(made, "Unit", "After")
    assert has(words(made), *option), words(made)


def test_pods_start_their_containers() -> None:
    pod = ("p.pod", "[Pod]\nPublishPort=80:80\nLabel=a=b\nShmSize=1m\n")
    made = translate(pod, ("a.container", C + "Pod=p.pod\n"), ("b.container", C + "Pod=p.pod\nStartWithPod=no\n"),
                     ("t@.container", C + "Pod=p.pod\n"))
    service, member = made["p.pod"].service, made["a.container"].service
    assert service is not None and member is not None
    assert service.name == "p-pod.service" and values_of(service, "Unit", "Wants")[1:] == ["a.service"]
    assert values_of(service, "Unit", "Before") == ["a.service"]
    assert words(service, "ExecStartPre") == [
        "/bin/podlike", "pod", "create", "--infra-conmon-pidfile=%t/%N.pid", "--replace", "--exit-policy", "stop",
        "--publish", "80:80", "--label", "a=b", "--shm-size", "1m", "--infra-name", "systemd-p-infra", "--name", "systemd-p"]
    assert words(service) == ["/bin/podlike", "pod", "start", "systemd-p"]
    assert words(service, "ExecStop") == ["/bin/podlike", "pod", "stop", "--ignore", "--time=10", "systemd-p"]
    assert words(service, "ExecStopPost") == ["/bin/podlike", "pod", "rm", "--ignore", "--force", "systemd-p"]
    assert (service.text("Service", "Type"), service.text("Service", "PIDFile"), service.text("Service", "Restart")) == (
        "forking", "%t/%N.pid", "on-failure")
    assert has(words(member), "--pod", "systemd-p") and values_of(member, "Unit", "BindsTo") == ["p-pod.service"]


def test_dependencies_on_quadlets_are_dependencies_on_services() -> None:
    made = service(("w.container", "[Unit]\nAfter=db.container x.service\nRequires=db.container\nWants=y.service\n" + C),
                   ("db.container", C + "ServiceName=database\n"))
    assert values_of(made, "Unit", "After") == ["network-online.target", "database.service x.service"]
    assert values_of(made, "Unit", "Requires") == ["database.service"] and "y.service" in values_of(made, "Unit", "Wants")


def test_users_wait_for_the_network_in_their_own_way_or_not_at_all() -> None:
    made = service(("w.container", C), user=True)
    assert values_of(made, "Unit", "Wants") == ["podman-user-wait-network-online.service"]
    made = service(("w.container", C + "[Quadlet]\nDefaultDependencies=false\n"))
    assert not values_of(made, "Unit", "Wants") and "X-Quadlet" in made.groups


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("n.network",
        "Driver=bridge\nInternal=yes\nSubnet=10.0.0.0/24\nGateway=10.0.0.1\nSubnet=10.1.0.0/24\nOptions=a=b\nDNS=1.1.1.1",
     "network create --ignore --internal --driver bridge --dns 1.1.1.1 --subnet 10.0.0.0/24 --gateway 10.0.0.1 "
     "--subnet 10.1.0.0/24 --opt a=b systemd-n"),
    ("v.volume", "Device=/d\nType=ext4\nUser=7\nGroup=8\nOptions=ro\nCopy=no\nLabel=a=b",
     "volume create --ignore --opt nocopy --opt device=/d --opt type=ext4 --opt o=uid=7,gid=8,ro --label a=b systemd-v"),
    ("v.volume", "Driver=image\nImage=quay.io/a/b", "volume create --ignore --driver image --opt image=quay.io/a/b systemd-v"),
    ("v.volume", "UID=1\nGID=2", "volume create --ignore --uid 1 --gid 2 systemd-v"),
    ("i.image", "Image=quay.io/a\nArch=arm64\nTLSVerify=false\nAllTags=1\nRetry=2",
     "image pull --arch arm64 --retry 2 --all-tags --tls-verify=false quay.io/a"),
    ("a.artifact", "Artifact=quay.io/a\nQuiet=true", "artifact pull --quiet quay.io/a"),
    ("b.build", "ImageTag=a\nImageTag=b\nFile=Containerfile\nSetWorkingDirectory=unit\nPull=never\nSecret=s\nTarget=t",
     "build --pull=never --target t --tag a --tag b --secret s --file Containerfile /q"),
    ("b.build", "ImageTag=a\nFile=/abs/Containerfile", "build --tag a --file /abs/Containerfile"),
    ("b.build", "ImageTag=a\nSetWorkingDirectory=https://x/y.git", "build --tag a https://x/y.git"),
    ("k.kube", "Yaml=a.yaml /b.yaml\nConfigMap=c.yaml\nPublishPort=1:1\nExitCodePropagation=all\nAutoUpdate=registry x/local",
     "kube play --replace --service-container=true --service-exit-code-propagation=all "
     "--annotation=io.containers.autoupdate=registry --annotation=io.containers.autoupdate/x=local --configmap /q/c.yaml "
     "--publish 1:1 /q/a.yaml /b.yaml"),
])
def test_the_other_kinds(name: str, text: str, expected: str) -> None:
    group = keys.KINDS[name[1:]].group
    made = service((name, f"[{group}]\n{text}\n"))
    assert " ".join(words(made)[1:]) == expected


def test_makers_run_once_and_stay() -> None:
    made = service(("v.volume", "[Volume]"))
    assert made.name == "v-volume.service"
    assert [made.text("Service", k) for k in ("Type", "RemainAfterExit", "SyslogIdentifier")] == ["oneshot", "yes", "%N"]
    assert service(("b.build", "[Build]\nImageTag=a\nFile=/f")).text("Service", "RemainAfterExit") is None


@pytest.mark.parametrize(("name", "text", "number", "words"), [
    ("w.container", "[Container]\n", 1, "no Image or Rootfs key specified"),
    ("w.container", "\n[Container]\nImage=\n", 3, "no Image or Rootfs key specified"),
    ("w.container", C + "Rootfs=/r\n", 3, "conflict"),
    ("w.container", C + "Group=5\n", 3, "Group set without User"),
    ("w.container", C + "Pod=x\n", 3, "pod x is not Quadlet based"),
    ("w.container", C + "Pod=x.pod\n", 3, "quadlet pod unit x.pod does not exist"),
    ("w.container", C + "Network=x.network\n", 3, "requested Quadlet unit x.network was not found"),
    ("w.container", C + "Volume=x.volume:/x\n", 3, "requested Quadlet source x.volume was not found"),
    ("w.container", "[Container]\nImage=x.image\n", 2, "requested Quadlet image x.image was not found"),
    ("w.container", C + "ReloadCmd=a\nReloadSignal=HUP\n", 4, "mutually exclusive"),
    ("w.container", C + "RemapUsers=auto\nUserNS=host\n", 3, "deprecated Remap keys"),
    ("w.container", C + "RemapUsers=x\n", 3, "unsupported RemapUsers option 'x'"),
    ("w.container", C + "RemapUid=1\n", 3, "set without RemapUsers"),
    ("w.container", C + "ExposeHostPort=x\n", 3, "invalid port format 'x'"),
    ("w.container", C + "Mount=type=bind,dst=/x\n", 3, "source parameter is required for mount type bind"),
    ("w.container", C + "Mount=type=bind,source,dst=/x\n", 3, "does not include a value"),
    ("w.container", C + "Mount=/a:/b\n", 3, "source cannot be empty"),
    ("w.container", C + "[Service]\nKillMode=none\n", 4, "invalid KillMode 'none'"),
    ("w.container", C + "[Service]\nType=simple\n", 4, "invalid service Type 'simple'"),
    ("w.container", "[Unit]\nAfter=x.pod\n" + C, 2, "unable to translate dependency for x.pod"),
    ("w.container", C + "ServiceName=../x\n", 3, "has no slash"),
    ("n.network", "[Network]\nGateway=1.2.3.4\n", 2, "without subnet"),
    ("n.network", "[Network]\nSubnet=a\nGateway=1\nGateway=2\n", 4, "more gateways than subnets"),
    ("v.volume", "[Volume]\nType=bind\n", 2, "can't be used without Device"),
    ("v.volume", "[Volume]\nDriver=image\n", 2, "Image is mandatory"),
    ("i.image", "[Image]\n", 1, "no Image key specified"), ("a.artifact", "[Artifact]\n", 1, "no Artifact key specified"),
    ("b.build", "[Build]\n", 1, "no ImageTag key specified"),
    ("b.build", "[Build]\nImageTag=a\n", 2, "neither SetWorkingDirectory"),
    ("b.build", "[Build]\nImageTag=a\nFile=x\n", 3, "relative path in File key"),
    ("b.build", "[Build]\nImageTag=a\nSetWorkingDirectory=yaml\n", 3, "only supported in .kube"),
    ("k.kube", "[Kube]\n", 1, "no Yaml key specified"),
    ("k.kube", "[Kube]\nYaml=a b\nSetWorkingDirectory=yaml\n", 3, "single Yaml"),
    ("k.kube", "[Kube]\nYaml=a\nRemapUsers=manual\n", 3, "RemapUsers=manual is not supported"),
    ("w.container", "", 1, "no Image"),
])
def test_refusals_have_a_place(name: str, text: str, number: int, words: str) -> None:
    result = translate((name, text))[name]
    assert result.service is None
    wrong = [p for p in result.problems if p.level == ERROR]
    assert len(wrong) == 1 and words in wrong[0].text and wrong[0].place == f"/q/{name}:{number}", [p.line for p in wrong]


@pytest.mark.parametrize(("group", "key", "near"), [
    ("Container", "Imgae", "Image"), ("Container", "image", "Image"), ("Container", "publishport", "PublishPort"),
    ("Container", "Publish-Port", "PublishPort"), ("Container", "Ports", "PublishPort"), ("Container", "env", "Environment"),
    ("Container", "Command", "Exec"), ("Container", "cap_add", "AddCapability"),
    ("Container", "Restart", "Restart in the group Service"),
    ("Container", "Description", "Description in the group Unit"), ("Pod", "WantedBy", "WantedBy in the group Install"),
    ("Container", "Frobnicate", ""), ("Volume", "Lable", "Label"), ("Network", "Subent", "Subnet"),
    ("Quadlet", "DefaultDependancies",
                                                                                                    "DefaultDependencies"),
])
def test_unknown_keys(group: str, key: str, near: str) -> None:
    kind = next((k for k in keys.KINDS.values() if k.group == group), keys.KINDS[".container"])
    name = f"w{kind.extension}"
    result = translate((name, f"[Unit]\n[{group}]\n{key}=x\n[X-Mine]\nA=b\n"))[name]
    first = next(p for p in result.problems if p.level == ERROR)
    assert (first.text, first.near, first.number, first.about_text) == (f"unsupported key '{key}' in group '{group}'", near, 3,
        True)
    assert result.service is None


def test_every_unknown_key_is_told_and_drop_ins_by_their_own_path() -> None:
    base = unit("w.container", C + "Aaaa=1\nBbbb=2\n")
    drop_in = parse("[Container]\nCccc=3\n", "/q/w.container.d/1.conf", [])
    base.merge(drop_in)
    result = translate_all([base], program=("p",), user=False, exists=bool)[0]
    assert [p.place for p in result.problems if p.level == ERROR] == [
        "/q/w.container:3", "/q/w.container:4", "/q/w.container.d/1.conf:2"]


@pytest.mark.parametrize(("line", "words"), [
    ("ReadOnly=maybe", "no boolean"), ("Memory=12x", "no size"), ("PidsLimit=many", "no number"), ("Retry=-1", "no whole number"),
    ("HealthTimeout=5", "no duration"), ("Notify=helthy", "none of"), ("Pull=sometimes", "none of"),
    ("HealthOnFailure=restrat", "none of"),
    ("StopTimeout=10s", "no number"),
])
def test_values_that_do_not_fit(line: str, words: str) -> None:
    result = translate(("w.container", C + line + "\n"))["w.container"]
    wrong = [p for p in result.problems if p.level == WARNING]
    assert result.service is not None and len(wrong) == 1 and words in wrong[0].text and wrong[0].number == 3


@pytest.mark.parametrize("line", ["ReadOnly=ON", "Memory=512m", "Memory=1.5GiB", "Memory=1024", "PidsLimit=-1",
    "PidsLimit=0x10", "Retry=3",
                                  "HealthTimeout=1m30s", "HealthTimeout=1.5h", "HealthTimeout=0", "Memory=%i", "Pull=newer",
                                  "ReadOnly="])
def test_values_that_fit(line: str) -> None:
    assert not translate(("w.container", C + line + "\n"))["w.container"].problems


@pytest.mark.parametrize(("text", "words", "level"), [
    ("[Contaner]\nA=b\n", "nothing reads the group [Contaner]: did you mean [Container]?", WARNING),
    ("[Install]\nAlso=x\n", "Also in the group Install has no effect here", WARNING),
    ("[Service]\nUser=x\n", "using key User in the Service group is not supported", WARNING),
])
def test_groups(text: str, words: str, level: str) -> None:
    result = translate(("w.container", C + text))["w.container"]
    assert [(p.level, p.number) for p in result.problems if words in p.sentence] == [(level, 3 if "Cont" in text else 4)]


def test_two_quadlets_for_one_service() -> None:
    made = translate(("a.container", C), ("a.kube", "[Kube]\nYaml=x\n"))
    assert "takes the place of the one made of /q/a.container" in made["a.kube"].problems[0].text


def test_what_refers_to_a_refused_quadlet_is_refused() -> None:
    made = translate(("w.container", C + "Volume=v.volume:/x\n"), ("v.volume", "[Volume]\nNmae=x\n"))
    assert made["w.container"].service is None and made["w.container"].problems[0].number == 3


@pytest.mark.parametrize(("name", "clear"), [("fedora", False), ("library/fedora", False), ("quay.io/a", True),
("localhost/a", True),
                                             ("host:5000/a", True), ("sha256:" + "a" * 64, True), ("a" * 64, True),
                                             ("a" * 63, False)])
def test_names_of_images(name: str, clear: bool) -> None:
    assert values.is_unambiguous(name) is clear


def test_a_word_that_cannot_be_split_is_told_and_left_out() -> None:
    result = translate(("w.container", C + "Label=a=\\z\nExec=x\n"))["w.container"]
    assert result.service is not None and words(result.service)[-2:] == ["localhost/i",
        "x"] and "--label" not in words(result.service)
    assert [(p.number, "unsupported escape char" in p.text) for p in result.problems] == [(3, True)]


_KEYS = sorted({key for group in keys.KEYS.values() for key in group})
_VALUE = st.text(alphabet="ab1:/.,=%\"'\\ -@", max_size=12) | st.sampled_from(
    ["yes", "auto", "keep-id", "manual", "a.volume:/x", "a.network", "a.container", "a.pod", "a.image", "a.build",
        "a.artifact", "unit",
     "file", "yaml", "type=bind,source=a.volume,dst=/x", "healthy", "5"])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(keys.KINDS)), st.lists(st.tuples(st.sampled_from(_KEYS), _VALUE), max_size=8))
def test_nothing_that_is_written_makes_translation_fail(extension: str, lines: list[tuple[str, str]]) -> None:
    group = keys.KINDS[extension].group
    known = [(k, v) for k, v in lines if k in keys.KEYS[group]]
    body = "".join(f"{k}={v}\n" for k, v in known)
    others = [(f"a{e}", f"[{k.group}]\nImage=quay.io/x/y\nArtifact=x\nYaml=y\nImageTag=t\nFile=/f\n") for e,
        k in keys.KINDS.items()]
    others = [(n,
        "".join(x + "\n" for x in t.splitlines() if x[0] == "[" or x.split("=")[0] in keys.KEYS[keys.KINDS[n[1:]].group]))
              for n, t in others]
    for result in translate(("w" + extension, f"[{group}]\n{body}"), *others).values():
        assert all(p.number > 0 and p.path for p in result.problems)
        if result.service is not None:
            assert words(result.service) and "\n" not in (result.service.text("Service", "ExecStart") or "\n")
