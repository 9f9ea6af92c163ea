"""The daemon's settings on a host: in force, pending, without effect, refused, unknown."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from dockerdiag.configuration.daemon import DaemonSettings, daemon_settings
from dockerdiag.configuration.settings import Known, Unknown
from dockerdiag.snapshot import (
    BootSysctls,
    DaemonProcess,
    Engine,
    Firewall,
    Host,
    Network,
    NetworkNamespace,
    ServiceUnit,
    Snapshot,
    TextFile,
    Unread,
)
from tests.configuration.units import DROP_INS, unit

PATH = "/etc/docker/daemon.json"
UNIT = """[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS
"""
STARTED = 1000.0
BEFORE, AFTER = STARTED - 100, STARTED + 100
COMMAND_LINE = ("/usr/sbin/dockerd", "-H", "fd://")


def process(*flags: str, pid: int = 5, **changes: Any) -> DaemonProcess:
    plain = DaemonProcess(
        pid, "/usr/sbin/dockerd", (*COMMAND_LINE, *flags), {}, STARTED, "net:[1]", namespace_is_host=True
    )
    return replace(plain, **changes)


def service(
    drop_ins: Mapping[str, str] | None = None, file: str | None = None, fragment: str = UNIT, **changes: Any
) -> ServiceUnit:
    plain = unit(fragment, drop_ins, {"/etc/default/docker": file})
    return replace(plain, **({"main_pid": 5, "manager_environment": ""} | changes))


def engine(version: str = "28.5.2", **changes: Any) -> Engine:
    return replace(Engine("unix:///var/run/docker.sock", None, True, "lab", version, "1.51"), **changes)


def judged(**changes: Any) -> DaemonSettings:
    """The settings of a healthy host with some parts changed."""
    empty = NetworkNamespace("net:[1]", (), (), (), (), (), {}, Firewall(""))
    plain = Snapshot(
        taken_at="2026-01-01T00:00:00Z",
        tool_version="0",
        host=Host("lab", "6.1", "x86_64", "Debian", root=True, systemd=True),
        network=empty,
        namespaces={},
        engine=engine(),
        daemons=(process(),),
        service=service(),
        daemon_json=None,
        boot_sysctls=BootSysctls(()),
        resolv_conf=None,
        hosts_file=None,
        journal=(),
        kernel_log=(),
    )
    return daemon_settings(replace(plain, **changes))


def file(text: str, modified_at: float | None = BEFORE, path: str = PATH) -> TextFile:
    return TextFile(path, text, modified_at)


def known(state: Known | Unknown) -> tuple[object, str]:
    assert isinstance(state, Known), state
    return state.value, state.origin.source


def test_healthy_host_runs_by_defaults() -> None:
    settings = judged()
    assert known(settings["iptables"].running) == (True, "default")
    assert known(settings["ip6tables"].running) == (True, "default")
    assert known(settings["http-proxy"].running) == (None, "default")
    assert not settings.pending
    assert not settings.inert
    assert not settings.start_errors
    assert not settings.diagnostics
    assert settings.managed is True
    assert all(isinstance(setting.running, Known) for setting in settings.settings.values())
    assert all(setting.pending is False for setting in settings.settings.values())


@pytest.mark.parametrize(("version", "default"), [("20.10.24", False), ("26.1.5", False), ("27.0.1", True)])
def test_default_depends_on_the_engine(version: str, default: bool) -> None:
    assert known(judged(engine=engine(version))["ip6tables"].running)[0] is default


def test_flag_in_force_from_a_drop_in() -> None:
    drop_in = {"docker-options.conf": '[Service]\nEnvironment="DOCKER_OPTS=-D \\\n --iptables=false"\n'}
    settings = judged(daemons=(process("-D", "--iptables=false"),), service=service(drop_in))
    assert known(settings["iptables"].running) == (False, "/proc/5/cmdline")
    assert known(settings["iptables"].next_start) == (False, f"{DROP_INS}/docker-options.conf:3")
    assert settings["iptables"].pending is False


def test_edited_drop_in_is_pending() -> None:
    drop_in = {"docker-options.conf": '[Service]\nEnvironment="DOCKER_OPTS=--iptables=false"\n'}
    settings = judged(service=service(drop_in, need_daemon_reload=True))
    assert [setting.name for setting in settings.pending] == ["iptables"]
    assert settings.need_daemon_reload is True


def test_edited_drop_in_with_the_same_effect_is_not_pending() -> None:
    drop_in = {"docker-options.conf": "[Service]\nEnvironment=DOCKER_OPTS=--mtu=0x5dc\n"}
    assert not judged(service=service(drop_in, need_daemon_reload=True)).pending


def test_removed_drop_in_is_pending() -> None:
    settings = judged(daemons=(process("--ip-masq=false"),))
    assert [setting.name for setting in settings.pending] == ["ip-masq"]
    assert known(settings["ip-masq"].next_start) == (True, "default")


def test_file_that_the_daemon_read() -> None:
    settings = judged(daemon_json=file('{\n "iptables": false,\n "bip": "10.0.0.1/24"\n}'))
    assert known(settings["iptables"].running) == (False, f"{PATH}:2")
    assert known(settings["bip"].running) == ("10.0.0.1/24", f"{PATH}:3")
    assert not settings.pending


def test_file_that_changed_since_the_start() -> None:
    settings = judged(daemon_json=file('{"iptables": false}', AFTER), daemons=(process("--mtu=1400"),))
    running = settings["iptables"].running
    assert isinstance(running, Unknown)
    assert "changed after the daemon started" in running.reason
    assert running.presumably is not None
    assert running.presumably.value is False
    assert known(settings["mtu"].running) == (1400, "/proc/5/cmdline")
    assert known(settings["iptables"].next_start) == (False, f"{PATH}:1")
    assert settings["iptables"].pending is None


def test_engine_tells_what_a_changed_file_hides() -> None:
    bridge = Network(
        "1" * 64,
        "bridge",
        "bridge",
        options={
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.driver.mtu": "1500",
        },
    )
    told = engine(networks=(bridge,), http_proxy="http://old:3128", firewall_driver="iptables+firewalld")
    settings = judged(engine=told, daemon_json=file('{"ip-masq": false, "mtu": 1500}', AFTER))
    assert known(settings["ip-masq"].running)[0] is True
    assert settings["ip-masq"].pending is True
    assert settings["mtu"].pending is False
    assert known(settings["http-proxy"].running) == ("http://old:3128", "docker info")


def test_conflict_between_flag_and_file_keeps_the_daemon_from_starting() -> None:
    settings = judged(daemons=(), engine=Unread("no answer"), daemon_json=file('{\n"hosts": ["fd://"]\n}'))
    (error,) = settings.start_errors
    assert [origin.path for origin in error.origins] == ["/usr/lib/systemd/system/docker.service", PATH]
    assert error.certain
    assert isinstance(settings["iptables"].next_start, Unknown)
    assert isinstance(settings["iptables"].running, Unknown)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ("--iptables false", "accepts no arguments"),
        ("--iptables=no", "--iptables"),
        ("--firewall-backend=nftables", "unknown flag"),
        ("--iptables=false --icc=false", "icc"),
        ("--bridge=br0 --bip=10.0.0.1/24", "mutually exclusive"),
    ],
)
def test_command_line_that_dockerd_refuses(flags: str, text: str) -> None:
    settings = judged(service=service(file=f'DOCKER_OPTS="{flags}"\n'))
    assert text in settings.start_errors[0].text
    assert settings.start_errors[0].origins[0].source == "/etc/default/docker:1"


def test_ip6tables_of_an_old_engine_needs_experimental() -> None:
    refused = judged(engine=engine("20.10.24"), service=service(file="DOCKER_OPTS=--ip6tables\n"))
    assert "experimental" in refused.start_errors[0].text
    taken = judged(
        engine=engine("20.10.24"), service=service(file="DOCKER_OPTS=--ip6tables --experimental\n")
    )
    assert not taken.start_errors


def test_variable_that_no_command_expands_is_inert() -> None:
    drop_in = {
        "x.conf": '[Service]\nEnvironment="DOCKER_NETWORK_OPTIONS=--ip-masq=false -b none --dns 1.1.1.1"\n'
    }
    settings = judged(service=service(drop_in))
    (inert,) = settings.inert
    assert inert.name == "DOCKER_NETWORK_OPTIONS"
    assert inert.flags == ("ip-masq", "bridge", "dns")
    assert inert.origin.source == f"{DROP_INS}/x.conf:2"
    assert "no ExecStart= expands" in inert.reason
    assert not settings.pending


def test_file_of_another_init_system_is_inert() -> None:
    fragment = "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n"
    other = file(
        '# --iptables=false\nDOCKER_OPTS="--iptables=false"\nDOCKER_TMPDIR=/x\n', path="/etc/default/docker"
    )
    settings = judged(service=service(fragment=fragment, unused_environment_files=(other,)))
    assert [(inert.name, inert.flags, inert.origin.source) for inert in settings.inert] == [
        ("DOCKER_OPTS", ("iptables",), "/etc/default/docker:2")
    ]


def test_overridden_variable_is_inert() -> None:
    drop_in = {"x.conf": "[Service]\nEnvironment=DOCKER_OPTS=--ip-masq=false\n"}
    settings = judged(service=service(drop_in, file="DOCKER_OPTS=-D\n"), daemons=(process("-D"),))
    assert "overridden in /etc/default/docker:1" in settings.inert[0].reason


def test_key_that_is_a_flag_is_inert() -> None:
    settings = judged(daemon_json=file('{"dns-opt": ["ndots:1"]}'))
    assert [(inert.name, inert.flags) for inert in settings.inert] == [("dns-opt", ("dns-opt",))]


def test_options_that_change_no_networking_are_not_called_inert() -> None:
    assert not judged(
        service=service({"x.conf": "[Service]\nEnvironment=FOO=--data-root=/x GOTRACEBACK=crash\n"})
    ).inert


def test_variable_that_is_a_switch() -> None:
    name = "DOCKER_INSECURE_NO_IPTABLES_RAW"
    drop_in = {"x.conf": f"[Service]\nEnvironment={name}=1\n"}
    assert judged(service=service(drop_in))[name].pending is True
    settings = judged(daemons=(process(environment={name: "1"}),), service=service(drop_in))
    assert known(settings[name].running)[0] == "1"
    assert settings[name].pending is False
    assert not settings.inert


# -- engines that are newer than what is known here ------------------------------------------------------------------


def test_unknown_flag_of_a_running_daemon_hides_nothing() -> None:
    drop_in = {"x.conf": '[Service]\nEnvironment="DOCKER_OPTS=--new-thing=x --iptables=false"\n'}
    running = process("--new-thing=x", "--iptables=false")
    for version in ("28.5.2", "40.0.0"):
        settings = judged(engine=engine(version), daemons=(running,), service=service(drop_in))
        assert known(settings["iptables"].running)[0] is False
        assert settings["iptables"].pending is False
        assert not settings.start_errors


def test_unknown_flag_that_may_take_the_next_word_leaves_all_unknown() -> None:
    settings = judged(engine=engine("40.0.0"), daemons=(process("--new-thing", "--iptables=false"),))
    assert isinstance(settings["iptables"].running, Unknown)


def test_file_that_the_running_daemon_has_taken_is_no_certain_error() -> None:
    settings = judged(daemon_json=file('{"new-thing": 1}'))
    assert [error.certain for error in settings.start_errors] == [False]
    settings = judged(daemon_json=file('{"new-thing": 1}', AFTER))
    assert [error.certain for error in settings.start_errors] == [True]


# -- proxies ---------------------------------------------------------------------------------------------------------


def proxies(settings: DaemonSettings) -> list[object]:
    return [known(settings[name].running)[0] for name in ("http-proxy", "https-proxy", "no-proxy")]


def test_upper_case_wins_and_empty_falls_through() -> None:
    environment = {
        "HTTP_PROXY": "",
        "http_proxy": "http://low",
        "HTTPS_PROXY": "http://up",
        "https_proxy": "http://low",
    }
    assert proxies(judged(daemons=(process(environment=environment),))) == ["http://low", "http://up", None]


def test_file_wins_over_environment_each_by_itself() -> None:
    environment = {"HTTP_PROXY": "http://env", "HTTPS_PROXY": "http://env"}
    settings = judged(
        daemons=(process(environment=environment),),
        daemon_json=file('{"proxies": {"http-proxy": "http://file"}}'),
    )
    assert proxies(settings) == ["http://file", "http://env", None]


def test_engine_without_proxy_flags_has_the_environment() -> None:
    running = process(environment={"HTTPS_PROXY": "http://env"})
    assert proxies(judged(engine=engine("20.10.24"), daemons=(running,))) == [None, "http://env", None]


def test_flag_wins_over_environment() -> None:
    settings = judged(
        daemons=(process("--http-proxy=http://flag", environment={"HTTP_PROXY": "http://env"}),)
    )
    assert proxies(settings)[0] == "http://flag"


def test_proxy_drop_in_that_is_not_in_force() -> None:
    drop_in = {"http-proxy.conf": '[Service]\nEnvironment="HTTP_PROXY=http://127.0.0.1:1"\n'}
    settings = judged(service=service(drop_in))
    assert [setting.name for setting in settings.pending] == ["http-proxy"]
    assert known(settings["http-proxy"].next_start) == ("http://127.0.0.1:1", f"{DROP_INS}/http-proxy.conf:2")


def test_proxy_of_a_removed_drop_in_is_pending() -> None:
    running = process(environment={"HTTP_PROXY": "http://old"})
    assert judged(daemons=(running,))["http-proxy"].pending is True
    loaded = service(manager_environment=None, environment="HTTP_PROXY=http://old")
    assert judged(daemons=(running,), service=loaded)["http-proxy"].pending is True


def test_proxy_that_the_manager_hands_down_is_not_pending() -> None:
    running = process(environment={"HTTP_PROXY": "http://all"})
    settings = judged(daemons=(running,), service=service(manager_environment="HTTP_PROXY=http://all\n"))
    assert settings["http-proxy"].pending is False
    assert known(settings["http-proxy"].next_start)[1] == "systemctl show-environment"


def test_proxy_that_may_come_from_the_manager_is_unknown() -> None:
    running = process(environment={"HTTP_PROXY": "http://all"})
    settings = judged(daemons=(running,), service=service(manager_environment=None, environment=""))
    assert settings["http-proxy"].pending is None


def test_unread_environment_is_told_by_the_engine() -> None:
    running = process(environment=Unread("permission denied"))
    settings = judged(daemons=(running,), engine=engine(http_proxy="http://xxxxx:xxxxx@p"))
    assert proxies(settings) == ["http://xxxxx:xxxxx@p", None, None]
    assert isinstance(judged(daemons=(running,), engine=Unread("no"))["http-proxy"].running, Unknown)


# -- who runs --------------------------------------------------------------------------------------------------------


def test_remote_engine() -> None:
    settings = judged(engine=engine(local=False, endpoint="tcp://10.0.0.9:2375"))
    assert settings.process is None
    assert settings.process_unknown is not None
    assert isinstance(settings["iptables"].running, Unknown)


def test_unread_command_line() -> None:
    settings = judged(daemons=(process(command_line=Unread("permission denied")),))
    running = settings["iptables"].running
    assert isinstance(running, Unknown)
    assert "permission denied" in running.reason
    assert isinstance(settings["iptables"].next_start, Known)


def test_no_daemon_runs() -> None:
    settings = judged(daemons=(), engine=Unread("refused"))
    assert settings.process is None
    assert settings.process_unknown is None
    assert isinstance(settings["iptables"].next_start, Known)


def test_daemon_started_by_hand() -> None:
    settings = judged(daemons=(process("--iptables=false", pid=77),), service=service(main_pid=0))
    assert settings.managed is False
    assert known(settings["iptables"].running)[0] is False
    assert isinstance(settings["iptables"].next_start, Unknown)
    assert settings["iptables"].pending is None


def test_no_such_unit() -> None:
    settings = judged(service=None)
    assert settings.managed is False
    assert isinstance(settings["iptables"].next_start, Unknown)


def test_dockerd_within_a_container_does_not_serve_the_host() -> None:
    inner = process("--iptables=false", pid=900, namespace_is_host=False, namespace="net:[2]")
    settings = judged(daemons=(inner, process()))
    assert settings.process is not None
    assert settings.process.pid == 5


def test_second_daemon_on_a_socket_of_its_own() -> None:
    second = process(
        pid=6, command_line=("dockerd", "-H", "unix:///run/user/1000/docker.sock"), namespace_is_host=False
    )
    both = (process(), second)
    assert judged(daemons=both).process == both[0]
    assert judged(daemons=both, engine=engine(endpoint="unix:///run/user/1000/docker.sock")).process == second


def test_two_daemons_that_could_both_serve() -> None:
    settings = judged(daemons=(process(pid=7), process(pid=8)), service=None)
    assert settings.process is None
    assert settings.process_unknown is not None
    assert "7, 8" in settings.process_unknown


def test_configuration_file_of_its_own() -> None:
    other = file('{"iptables": false}', path="/etc/other.json")
    settings = judged(daemons=(process("--config-file=/etc/other.json"),), daemon_json=other)
    assert known(settings["iptables"].running) == (False, "/etc/other.json:1")
    assert isinstance(settings["iptables"].next_start, Unknown)


def test_wrapper_in_the_unit() -> None:
    settings = judged(service=service(fragment='[Service]\nExecStart=/bin/sh -c "exec dockerd"\n'))
    next_start = settings["iptables"].next_start
    assert isinstance(next_start, Unknown)
    assert "sh" in next_start.reason


def test_option_that_the_engine_does_not_have() -> None:
    assert isinstance(judged(engine=engine("26.1.5"))["firewall-backend"].running, Unknown)
    with pytest.raises(KeyError):
        judged()["data-root"]


def test_unread_parts_are_unknown_not_absent() -> None:
    settings = judged(
        daemons=Unread("no /proc"), service=Unread("no bus"), daemon_json=Unread("permission denied")
    )
    assert all(isinstance(setting.running, Unknown) for setting in settings.settings.values())
    assert all(isinstance(setting.next_start, Unknown) for setting in settings.settings.values())
