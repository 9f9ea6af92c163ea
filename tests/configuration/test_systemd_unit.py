"""The unit files that are met in the field, and the line on which each flag stands."""

import pytest

from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.systemd_unit import EffectiveService, effective_service
from tests.configuration.units import DROP_INS, FRAGMENT, unit

DOCKER = """[Unit]
Description=Docker Application Container Engine

[Service]
Type=notify
# the default is not to use systemd for cgroups
ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock
ExecReload=/bin/kill -s HUP $MAINPID
"""
DEBIAN = """[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS
"""
KUBESPRAY = """[Service]
Type=notify
Environment=GOTRACEBACK=crash
ExecReload=/bin/kill -s HUP $MAINPID
ExecStart=/usr/bin/dockerd \\
          $DOCKER_OPTS \\
          $DOCKER_STORAGE_OPTIONS \\
          $DOCKER_NETWORK_OPTIONS \\
          $DOCKER_DNS_OPTIONS \\
          $INSECURE_REGISTRY
"""
KUBESPRAY_OPTIONS = """[Service]
Environment="DOCKER_OPTS= --iptables=false \\
--exec-opt native.cgroupdriver=systemd \\
--data-root=/var/lib/docker --ip-masq=false \\
--log-opt max-size=50m --log-opt max-file=5 \\
"
"""
KUBESPRAY_DNS = """[Service]
Environment="DOCKER_DNS_OPTIONS=\\
    --dns 10.233.0.3 --dns 10.0.2.3  \\
    --dns-search default.svc.cluster.local --dns-search svc.cluster.local  \\
    --dns-opt ndots:2 --dns-opt timeout:2  \\
"
"""


def words(service: EffectiveService) -> list[str]:
    assert len(service.commands) == 1
    return [argument.text for argument in service.commands[0]]


def place(service: EffectiveService, word: str) -> str:
    return next(argument.origin.source for argument in service.commands[0] if argument.text == word)


def test_kubespray() -> None:
    drop_ins = {"docker-dns.conf": KUBESPRAY_DNS, "docker-options.conf": KUBESPRAY_OPTIONS}
    service = effective_service(unit(KUBESPRAY, drop_ins), "lab")
    assert " ".join(words(service)) == (
        "/usr/bin/dockerd --iptables=false --exec-opt native.cgroupdriver=systemd --data-root=/var/lib/docker"
        " --ip-masq=false --log-opt max-size=50m --log-opt max-file=5"
        " --dns 10.233.0.3 --dns 10.0.2.3 --dns-search default.svc.cluster.local --dns-search svc.cluster.local"
        " --dns-opt ndots:2 --dns-opt timeout:2"
    )
    assert place(service, "--iptables=false") == f"{DROP_INS}/docker-options.conf:2"
    assert place(service, "--ip-masq=false") == f"{DROP_INS}/docker-options.conf:4"
    assert place(service, "10.0.2.3") == f"{DROP_INS}/docker-dns.conf:3"
    masq = next(argument for argument in service.commands[0] if argument.text == "--ip-masq=false")
    assert masq.origin.text == "--data-root=/var/lib/docker --ip-masq=false \\"
    assert masq.variable == "DOCKER_OPTS"
    assert not service.diagnostics
    assert not service.errors


def test_variable_that_nothing_expands() -> None:
    service = effective_service(unit(DOCKER, {"docker-options.conf": KUBESPRAY_OPTIONS}), "lab")
    assert words(service) == [
        "/usr/bin/dockerd",
        "-H",
        "fd://",
        "--containerd=/run/containerd/containerd.sock",
    ]
    assert service.variables == frozenset()
    assert [variable.name for variable in service.assignments] == ["DOCKER_OPTS"]


def test_docker_machine_replaces_the_command() -> None:
    machine = (
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2376 -H unix:///var/run/docker.sock"
        " --storage-driver overlay2 --label provider=kvm \nEnvironment=\n"
    )
    service = effective_service(unit(DOCKER, {"10-machine.conf": machine}), "lab")
    assert words(service)[1:3] == ["-H", "tcp://0.0.0.0:2376"]
    assert place(service, "--label") == f"{DROP_INS}/10-machine.conf:3"


def test_second_command_without_reset_keeps_the_unit_from_loading() -> None:
    service = effective_service(
        unit(DOCKER, {"x.conf": "[Service]\nExecStart=/usr/bin/dockerd --mtu=1400\n"}), "lab"
    )
    assert [error.source for error in service.errors] == [f"{DROP_INS}/x.conf:2"]
    assert "more than one ExecStart=" in service.errors[0].text


def test_braces_make_one_argument() -> None:
    fragment = (
        "[Service]\nExecStart=/usr/bin/dockerd ${OPTS}\nEnvironment='OPTS=--iptables=false --ip-masq=false'\n"
    )
    assert words(effective_service(unit(fragment), "lab"))[1:] == ["--iptables=false --ip-masq=false"]


def test_debian_environment_file() -> None:
    file = '# Use DOCKER_OPTS to modify the options.\n#DOCKER_OPTS="--dns 8.8.8.8"\nDOCKER_OPTS="--ip-masq=false"\n'
    service = effective_service(unit(DEBIAN, environment_files={"/etc/default/docker": file}), "lab")
    assert words(service)[-1] == "--ip-masq=false"
    assert place(service, "--ip-masq=false") == "/etc/default/docker:3"


def test_environment_file_wins_over_the_unit() -> None:
    drop_in = {"x.conf": "[Service]\nEnvironment=DOCKER_OPTS=--mtu=1\n"}
    service = effective_service(
        unit(DEBIAN, drop_in, {"/etc/default/docker": "DOCKER_OPTS=--mtu=2\n"}), "lab"
    )
    assert words(service)[-1] == "--mtu=2"


def test_absent_optional_file_is_fine_and_absent_needed_one_is_not() -> None:
    assert not effective_service(unit(DEBIAN, environment_files={"/etc/default/docker": None}), "lab").errors
    needed = DEBIAN.replace("=-/etc", "=/etc")
    (error,) = effective_service(unit(needed, environment_files={"/etc/default/docker": None}), "lab").errors
    assert error.source == f"{FRAGMENT}:3"


def test_red_hat_sysconfig() -> None:
    fragment = """[Service]
Type=notify
EnvironmentFile=-/run/containers/registries.conf
EnvironmentFile=-/etc/sysconfig/docker
EnvironmentFile=-/etc/sysconfig/docker-storage
EnvironmentFile=-/etc/sysconfig/docker-network
Environment=GOTRACEBACK=crash
ExecStart=/usr/bin/dockerd-current \\
          --exec-opt native.cgroupdriver=systemd \\
          $OPTIONS \\
          $DOCKER_STORAGE_OPTIONS \\
          $DOCKER_NETWORK_OPTIONS \\
          $ADD_REGISTRY
"""
    files = {
        "/run/containers/registries.conf": None,
        "/etc/sysconfig/docker": (
            "# /etc/sysconfig/docker\n\n# Modify these options if you want to change the way the docker daemon runs\n"
            "OPTIONS='--selinux-enabled --log-driver=journald --signature-verification=false'\n"
            'if [ -z "${DOCKER_CERT_PATH}" ]; then\n    DOCKER_CERT_PATH=/etc/docker\nfi\n'
        ),
        "/etc/sysconfig/docker-storage": "DOCKER_STORAGE_OPTIONS=\n",
        "/etc/sysconfig/docker-network": "# /etc/sysconfig/docker-network\nDOCKER_NETWORK_OPTIONS=--mtu=1400\n",
    }
    service = effective_service(unit(fragment, environment_files=files), "lab")
    assert words(service)[3:] == [
        "--selinux-enabled", "--log-driver=journald", "--signature-verification=false", "--mtu=1400",
    ]  # fmt: skip
    assert place(service, "--mtu=1400") == "/etc/sysconfig/docker-network:2"
    assert service.environment["DOCKER_CERT_PATH"].value.text == "/etc/docker"


def test_flannel() -> None:
    fragment = """[Service]
EnvironmentFile=-/run/flannel/docker
ExecStart=/usr/bin/dockerd $DOCKER_OPT_BIP $DOCKER_OPT_MTU $DOCKER_OPT_IPMASQ
"""
    file = (
        'DOCKER_OPT_BIP="--bip=10.1.15.1/24"\nDOCKER_OPT_IPMASQ="--ip-masq=false"\nDOCKER_OPT_MTU="--mtu=1450"\n'
        'DOCKER_NETWORK_OPTIONS=" --bip=10.1.15.1/24 --ip-masq=false --mtu=1450"\n'
    )
    service = effective_service(unit(fragment, environment_files={"/run/flannel/docker": file}), "lab")
    assert words(service)[1:] == ["--bip=10.1.15.1/24", "--mtu=1450", "--ip-masq=false"]
    assert place(service, "--ip-masq=false") == "/run/flannel/docker:2"


def test_broken_quotes_of_a_proxy_drop_in() -> None:
    text = '[Service]\nEnvironment="HTTP_PROXY=http://proxy:3128/"\nEnvironment="NO_PROXY="localhost,127.0.0.1"\n'
    service = effective_service(unit(DOCKER, {"http-proxy.conf": text}), "lab")
    assert list(service.environment) == ["HTTP_PROXY"]
    assert service.diagnostics == (
        Origin(f"{DROP_INS}/http-proxy.conf", 3, 'Invalid syntax, ignoring: "NO_PROXY="localhost,127.0.0.1"'),
    )


def test_quotes_that_end_too_early_are_no_error_but_cut_the_value() -> None:
    text = '[Service]\nEnvironment="NO_PROXY=localhost, 127.0.0.1" HTTP_PROXY=http://p, x\n'
    service = effective_service(unit(DOCKER, {"http-proxy.conf": text}), "lab")
    assert service.environment["NO_PROXY"].value.text == "localhost, 127.0.0.1"
    assert service.environment["HTTP_PROXY"].value.text == "http://p,"
    assert [diagnostic.text for diagnostic in service.diagnostics] == [
        "Invalid environment assignment, ignoring: x"
    ]


def test_percent_sign_that_is_not_doubled() -> None:
    text = "[Service]\nEnvironment=HTTP_PROXY=http://user:p%40ss@proxy:3128 HTTPS_PROXY=http://user:p%%40ss@proxy:3128\n"
    service = effective_service(unit(DOCKER, {"http-proxy.conf": text}), "lab")
    assert service.environment["HTTPS_PROXY"].value.text == "http://user:p%40ss@proxy:3128"
    assert "HTTP_PROXY" not in service.environment
    assert "%4" in service.diagnostics[0].text


def test_section_line_is_missing() -> None:
    service = effective_service(unit(DOCKER, {"x.conf": "Environment=HTTP_PROXY=http://p\n"}), "lab")
    assert not service.environment
    assert service.diagnostics == (
        Origin(f"{DROP_INS}/x.conf", 1, "Assignment outside of section. Ignoring."),
    )


def test_setting_in_the_wrong_section() -> None:
    service = effective_service(unit(DOCKER, {"x.conf": "[Unit]\nEnvironment=HTTP_PROXY=http://p\n"}), "lab")
    assert not service.environment
    assert service.diagnostics[0].source == f"{DROP_INS}/x.conf:2"


def test_export_in_an_environment_file() -> None:
    service = effective_service(
        unit(DEBIAN, environment_files={"/etc/default/docker": "export DOCKER_OPTS=-D\n"}), "lab"
    )
    assert words(service)[-1] == "fd://"
    assert service.diagnostics[0].source == "/etc/default/docker:1"


@pytest.mark.parametrize(
    "fragment", ["[Service]\nType=notify\n", '[Service]\nExecStart=/usr/bin/dockerd "-H\n']
)
def test_unit_that_cannot_start(fragment: str) -> None:
    assert effective_service(unit(fragment), "lab").errors


def test_specifier_whose_value_is_not_known_here() -> None:
    fragment = "[Service]\nExecStart=/usr/bin/dockerd --label=id=%m --label=host=%H\n"
    service = effective_service(unit(fragment), "lab")
    assert [argument.certain for argument in service.commands[0]] == [True, False, True]
    assert words(service)[2] == "--label=host=lab"


def test_other_settings_keep_the_last_value() -> None:
    service = effective_service(unit(DOCKER, {"x.conf": "[Service]\nPrivateNetwork=yes\n"}), "lab")
    assert service.settings["PrivateNetwork"] == Origin(f"{DROP_INS}/x.conf", 2, "yes")
