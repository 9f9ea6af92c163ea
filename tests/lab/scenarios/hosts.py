"""Whole hosts: a plain one, one without an engine, one whose engine fails, and who asks."""

from tests.lab.host import LabHost, Ran
from tests.lab.roots import UNPRIVILEGED_USER
from tests.lab.scenario import DAEMON_JSON, Cause, Fault, Hit, Scenario, write

# Alice's context leads to a socket of her own, with systemd's proxy behind it, which tells its journal who connects.
OWN_SOCKET = "/run/alice-docker.sock"
OWN_SOCKET_UNIT = f"""
[Socket]
ListenStream={OWN_SOCKET}
SocketMode=0666
"""
OWN_SOCKET_SERVICE = """
[Service]
Environment=SYSTEMD_LOG_LEVEL=debug
ExecStart=/usr/lib/systemd/systemd-socket-proxyd /run/docker.sock
"""
USE_OWN_CONTEXT = f"docker context create own --docker host=unix://{OWN_SOCKET} && docker context use own"
MAKE_OWN_CONTEXT = (
    write("/etc/systemd/system/alice-docker.socket", OWN_SOCKET_UNIT),
    write("/etc/systemd/system/alice-docker.service", OWN_SOCKET_SERVICE),
    "systemctl daemon-reload && systemctl start alice-docker.socket",
    f"runuser --login {UNPRIVILEGED_USER} --command '{USE_OWN_CONTEXT}'",
)
UNINSTALL_ENGINE = (
    "systemctl disable --now docker.socket docker.service containerd.service",
    "rm -f /usr/sbin/dockerd /usr/bin/docker /usr/bin/containerd* /run/docker.sock /run/docker.pid",
    "rm -rf /usr/lib/systemd/system/docker.* /usr/lib/systemd/system/containerd.*",
    "rm -rf /etc/docker /etc/default/docker",
    "systemctl daemon-reload",
    "ip link delete docker0",
)


def own_context_was_asked(host: LabHost, ran: Ran) -> None:
    journal = host.run("journalctl --no-pager --unit alice-docker.service").stdout
    assert "New connection from PID" in journal, f"{OWN_SOCKET} was not connected to:\n{journal}"
    assert OWN_SOCKET in ran.stdout, f"the report does not name {OWN_SOCKET}"


def own_context_was_let_sleep(host: LabHost, ran: Ran) -> None:
    state = host.run("systemctl is-active alice-docker.service").stdout.strip()
    assert state == "inactive", f"{OWN_SOCKET} was connected to, which started its service ({state})"
    assert OWN_SOCKET in ran.stdout, f"the report does not name {OWN_SOCKET}"


def unread_is_told(_: LabHost, ran: Ran) -> None:
    unread = ran.json()["unread"]
    assert unread, "an unprivileged run says nothing of what it could not read"
    assert all(each["reason"] for each in unread), f"a part is unread without a reason: {unread}"


def no_traceback(_: LabHost, ran: Ran) -> None:
    assert "Traceback" not in ran.stderr, ran.stderr


SCENARIOS = (
    Scenario(name="plain", founding=True),
    Scenario(name="plain-no-container", containers=()),
    Scenario(
        name="user-without-root",
        user=UNPRIVILEGED_USER,
        verdict="unknown",
        exit_code=3,
        also=unread_is_told,
    ),
    Scenario(
        name="sudo-users-context",
        setup=(*MAKE_OWN_CONTEXT, "systemctl start alice-docker.service"),
        user=UNPRIVILEGED_USER,
        sudo=True,
        also=own_context_was_asked,
    ),
    Scenario(
        name="sudo-users-context-sleeps",
        setup=MAKE_OWN_CONTEXT,
        user=UNPRIVILEGED_USER,
        sudo=True,
        verdict="unknown",
        exit_code=3,
        also=own_context_was_let_sleep,
    ),
    Scenario(
        name="no-engine",
        setup=UNINSTALL_ENGINE,
        containers=(),
        verdict="unknown",
        exit_code=3,
        also=no_traceback,
    ),
    Fault(
        name="engine-failed-on-conflict",
        break_=(
            write(DAEMON_JSON, '{"hosts": ["unix:///var/run/docker.sock"]}'),
            "systemctl restart docker || true",
            # systemd tries a few times before it gives up.
            "timeout 60 sh -c 'until systemctl is-failed --quiet docker; do sleep 0.2; done'",
        ),
        hits=Hit.ENGINE,
        containers=(),
        mend=(f"rm {DAEMON_JSON}", "systemctl reset-failed docker docker.socket", "systemctl start docker"),
        cause=Cause("*", "*", ("specified both as a flag and in the configuration file",)),
        # Its undo puts the file back; the engine that runs by now goes on.
        undone=False,
    ),
)
