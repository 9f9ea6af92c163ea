"""A real Docker host, booted from a root in namespaces of its own and thrown away afterwards."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab import cgroups, internet, reach
from tests.lab.image import DATA_FOLDERS, IMAGE, copy_tree, engine_data
from tests.lab.product import layers_with_product
from tests.lab.roots import VENV, layers
from tests.lab.runs import Run
from tests.lab.wires import SERVER, Wires

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_PATIENCE = 60.0
# `exec` all the way, so that the id of the process started is that of systemd-nspawn itself.
BOOT = """
echo $$ > "$GROUP/cgroup.procs" &&
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$RUN/upper,workdir=$RUN/work" "$RUN/merged" &&
exec nsenter --net="$NETNS" systemd-nspawn --quiet --boot --directory="$RUN/merged" --machine="$NAME" \
  --hostname=lab --resolv-conf=off --timezone=off --register=no --keep-unit \
  --capability=all --system-call-filter='@keyring bpf' \
  --bind="$RUN/docker:/var/lib/docker" --bind="$RUN/containerd:/var/lib/containerd"
"""


# What this machine was booted with is nobody's business, and would end in recorded snapshots.
HIDE_COMMAND_LINE = "echo root=/dev/vda1 quiet > /run/cmdline && mount --bind /run/cmdline /proc/cmdline"


# The image's programs are linked statically, and their lookups crash.
LOOK_UP = """
pid=$(docker inspect --format '{{{{.State.Pid}}}}' {container}) && [ "$pid" -gt 0 ] || exit 1
etc=$(mktemp -d) && cp -L "/proc/$pid/root/etc/resolv.conf" "/proc/$pid/root/etc/hosts" "$etc" || exit 1
echo 'hosts: files dns' > "$etc/nsswitch.conf"
nsenter --target "$pid" --net unshare --mount sh -c \
  'mount --bind "$1" /etc && RES_OPTIONS="timeout:1 attempts:2" exec getent ahostsv4 "$2"' sh "$etc" {name}
"""


class LabError(Exception):
    """The lab itself failed; says nothing about the product."""


@dataclass(frozen=True)
class Ran:
    """What a command on the host did."""

    command: str
    code: int
    stdout: str
    stderr: str

    def expect_success(self) -> Self:
        if self.code:
            said = self.stdout[-2000:] + self.stderr[-4000:]
            raise LabError(f"{self.command!r} ended with {self.code}\n{said}")
        return self

    def json(self) -> Any:
        try:
            return json.loads(self.stdout)
        except ValueError as error:
            said = self.stdout[:2000] + self.stderr[-4000:]
            raise AssertionError(f"{self.command!r} printed no JSON: {error}\n{said}") from error


class LabHost:
    """`with LabHost("trixie") as host: host.run("docker ps")`."""

    def __init__(self, suite: str, *, product: bool = True, image: bool = True) -> None:
        self.suite = suite
        self.lower = layers_with_product(suite) if product else layers(suite)
        self.template = engine_data(suite) if image else None
        self.server: subprocess.Popen[bytes] | None = None
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.pid1 = 0

    def __enter__(self) -> Self:
        self.ended = False
        self.execution = Run()
        self.folder = self.execution.folder
        self.wires = Wires(self.execution.name)
        try:
            self.lay_out()
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Life and death

    def lay_out(self) -> None:
        for name in ("upper", "work", "merged"):
            (self.folder / name).mkdir()
        for name in DATA_FOLDERS:
            if self.template:
                copy_tree(self.template / name, self.folder / name)
            else:
                (self.folder / name).mkdir(mode=0o711)
        configuration = self.folder / "upper/etc"
        configuration.mkdir()
        # The root has this machine's name from its making.
        (configuration / "hostname").write_text("lab\n")
        (configuration / "resolv.conf").write_text(f"nameserver {SERVER}\n")
        (configuration / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost\n")

    def boot(self) -> None:
        self.wires.make()
        self.start_server()
        group = cgroups.group_of(self.execution.group)
        group.mkdir(exist_ok=True)
        environment = os.environ | {
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
            "GROUP": str(group),
            "LOWER": ":".join(str(layer) for layer in self.lower),
            "RUN": str(self.folder),
            "NAME": self.execution.group,
            "NETNS": str(self.wires.host_path),
        }
        with (self.folder / "console").open("ab") as console:
            self.nspawn = subprocess.Popen(
                ("unshare", "--mount", "--propagation", "slave", "sh", "-c", BOOT),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # Ctrl-C in the terminal is ours to handle, not the guest's.
                start_new_session=True,
            )
        self.wait_until_booted(self.nspawn)

    def wait_until_booted(self, nspawn: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + BOOT_PATIENCE
        state = "no init yet"
        while time.monotonic() < deadline:
            if nspawn.poll() is not None:
                raise LabError(f"{self.suite} did not boot ({nspawn.returncode}):\n{self.console()}")
            self.pid1 = self.find_pid1(nspawn.pid)
            if self.pid1:
                state = self.run("systemctl is-system-running 2>&1").stdout.strip()
                if state in ("running", "degraded"):
                    self.run(HIDE_COMMAND_LINE).expect_success()
                    return
            time.sleep(0.05)
        raise LabError(f"{self.suite} is not up after {BOOT_PATIENCE:.0f} s ({state}):\n{self.console()}")

    @staticmethod
    def find_pid1(nspawn: int) -> int:
        with suppress(OSError):
            for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        return 0

    def start_server(self) -> None:
        self.server = subprocess.Popen(
            ("nsenter", f"--net={self.wires.internet_path}", sys.executable, internet.__file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.server.stdout
        if self.server.stdout.readline() != b"ready\n":
            raise LabError("the lab's internet server did not start")

    def power_off(self) -> None:
        if self.nspawn and self.nspawn.poll() is None:
            if self.pid1:
                self.run("systemctl poweroff -ff", timeout=5)
            try:
                self.nspawn.wait(timeout=3 if self.pid1 else 0)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
        cgroups.end(self.execution.group)
        if self.nspawn:
            self.nspawn.wait()
        if self.server:
            self.server.kill()
            self.server.wait()
            for pipe in (self.server.stdin, self.server.stdout):
                if pipe:
                    pipe.close()
        self.nspawn = self.server = None
        self.pid1 = 0
        self.wires.remove()

    def reboot(self) -> None:
        """What was set by hand is gone, what was written to a file is not."""
        self.run("sync")
        self.power_off()
        self.boot()

    def close(self) -> None:
        if self.ended:
            return
        self.ended = True
        # A second Ctrl-C must not leave a half-removed host behind.
        with interrupts_ignored():
            try:
                with suppress(OSError, subprocess.SubprocessError, LabError):
                    self.power_off()
            finally:
                self.execution.end()

    def console(self) -> str:
        with suppress(OSError):
            return (self.folder / "console").read_text(errors="replace")[-3000:]
        return ""

    # What one does on it

    def run(
        self,
        command: str,
        *,
        user: str = "root",
        environment: dict[str, str] | None = None,
        stdin: str = "",
        timeout: float = 120,
    ) -> Ran:
        """Runs a shell command line on the host, with a login's bare environment and no terminal."""
        home = "/root" if user == "root" else f"/home/{user}"
        variables = {"PATH": PATH, "HOME": home, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"}
        settings = [f"{name}={value}" for name, value in (variables | (environment or {})).items()]
        become = [] if user == "root" else ["runuser", "--user", user, "--"]
        shell = ("sh", "-c", f"cd {shlex.quote(home)} && {{ {command}\n}}")
        enter = ("nsenter", "--target", str(self.pid1), "--all", "env", "-i", *settings)
        try:
            ran = subprocess.run(
                (*enter, *become, *shell),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise LabError(f"{command!r} still runs after {timeout:.0f} s") from late
        return Ran(command, ran.returncode, ran.stdout, ran.stderr)

    def run_all(self, commands: Iterable[str]) -> None:
        for command in commands:
            self.run(command).expect_success()

    def dockerdiag(
        self, *arguments: str, user: str = "root", sudo: bool = False, timeout: float = 120
    ) -> Ran:
        become_root = ("sudo",) if sudo else ()
        line = shlex.join((*become_root, f"{VENV}/bin/dockerdiag", *arguments))
        return self.run(line, user=user, timeout=timeout)

    def start_container(
        self, name: str, network: str = "bridge", options: str = "", command: str = "sleep infinity"
    ) -> None:
        """Always restarted with the engine, as on hosts that serve somebody."""
        # As its own init, `sleep` heeds no other signal, and every stop would take ten seconds.
        settings = f"--name {name} --network {network} --restart always --stop-signal KILL {options}"
        line = f"docker run --detach {settings} {IMAGE} {command}"
        self.run(line).expect_success()

    def reaches(self, container: str, address: str, port: int, protocol: str = "tcp") -> bool:
        """Real traffic, there and back, from the container's own network namespace; `name` looks a name up."""
        if protocol == "name":
            return self.looks_up(container, address)
        inspect = f"docker inspect --format '{{{{.State.Pid}}}}' {container}"
        enter = f'pid=$({inspect}) && [ "$pid" -gt 0 ] && exec nsenter --target "$pid" --net'
        return self.run(f"{enter} python3 - {address} {port} {protocol}", stdin=reach.source()).code == 0

    def looks_up(self, container: str, name: str) -> bool:
        """Whether the C library finds a name in the container's namespace, with the container's own resolv.conf."""
        ran = self.run(LOOK_UP.format(container=shlex.quote(container), name=shlex.quote(name)))
        return ran.code == 0 and internet.NAME_ANSWER in ran.stdout

    def is_reached(self, address: str, port: int, protocol: str = "tcp") -> bool:
        """Real traffic, there and back, from the lab's internet to the host."""
        enter = ("nsenter", f"--net={self.wires.internet_path}", sys.executable, reach.__file__)
        ran = subprocess.run((*enter, address, str(port), protocol), capture_output=True, check=False)
        return ran.returncode == 0

    def host_reaches(self, address: str, port: int, protocol: str = "tcp") -> bool:
        return self.run(f"python3 - {address} {port} {protocol}", stdin=reach.source()).code == 0

    def engine_reaches_registry(self, registry: str = SERVER) -> bool:
        """Whether a pull leaves the host: the server speaks plain HTTP, and the engine complains of it."""
        ran = self.run(f"docker pull {registry}:443/lab/none", timeout=60)
        return "HTTP response to HTTPS client" in ran.stdout + ran.stderr

    def engine_version(self) -> str:
        return self.run("docker version --format '{{.Server.Version}}'").expect_success().stdout.strip()


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Only where signals can be set at all: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
