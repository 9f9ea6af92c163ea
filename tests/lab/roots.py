"""Builds the root folders that the lab boots: `python -m tests.lab.roots [SUITE]...`.

A root is Debian with its own engine, firewalls and Python. On top of it lies a thin layer with a virtual
environment that holds the product's dependencies, made by that Python: they never rebuild a root.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.cache import build_once, recipe_key
from tests.lab.engines import SUITES

CHECKOUT = Path(__file__).parents[2]
VENV = "/opt/dockerdiag"
UNPRIVILEGED_USER = "alice"
DEFAULT_DEPENDENCIES = ("pyroute2", "docker", "typer", "rich", "jinja2", "pydantic", "python-iptables")

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "docker.io", "iptables", "nftables", "iproute2", "procps", "kmod",
    "ipset", "ufw", "firewalld", "sudo", "busybox-static", "ca-certificates", "systemd-resolved", "dnsmasq",
    "python3", "python3-venv", "python3-dev", "gcc", "libc6-dev",
)  # fmt: skip
DISABLED_UNITS = (
    "etc/systemd/system/multi-user.target.wants/ufw.service",
    "etc/systemd/system/multi-user.target.wants/firewalld.service",
    "etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service",
    "etc/systemd/system/multi-user.target.wants/dnsmasq.service",
    "etc/systemd/system/sysinit.target.wants/systemd-resolved.service",
    "etc/systemd/system/dbus-org.freedesktop.resolve1.service",
)
# Slow at boot, or useless without a terminal, a disk or a clock of one's own.
MASKED_UNITS = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "man-db.timer",
    "fstrim.timer", "logrotate.timer", "e2scrub_reap.service", "console-getty.service", "getty.target",
    "systemd-timesyncd.service", "systemd-networkd-wait-online.service",
)  # fmt: skip
LAYOUT = "1"


def packages_of(suite: str) -> tuple[str, ...]:
    # Bookworm's docker.io holds the client too.
    return PACKAGES if suite == "bookworm" else (*PACKAGES, "docker-cli")


def root(suite: str) -> Path:
    recipe = (LAYOUT, suite, *sorted((*packages_of(suite), *DISABLED_UNITS, *MASKED_UNITS)))
    return build_once(f"root-{suite}", recipe_key(*recipe), lambda folder: build_root(suite, folder))


def layers(suite: str) -> tuple[Path, ...]:
    """What a lab host's overlay lies on, topmost first: the dependencies, then the root."""
    base = root(suite)
    dependencies = product_dependencies()
    key = recipe_key(base.name, *dependencies)
    venv = build_once(f"venv-{suite}", key, lambda folder: build_venv(suite, base, dependencies, folder))
    return venv / "upper", base


def build_root(suite: str, folder: Path) -> None:
    progress(f"{suite}: building the root")
    started = time.monotonic()
    run_quietly(
        "mmdebstrap",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--variant=minbase",
        f"--include={','.join(packages_of(suite))}",
        suite,
        str(folder),
    )
    for unit in DISABLED_UNITS:
        (folder / unit).unlink(missing_ok=True)
    for unit in MASKED_UNITS:
        mask = folder / "etc/systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    keep_network_sysctls(folder)
    trust_as_this_machine_does(folder)
    run_quietly("chroot", str(folder), "useradd", "--create-home", "--shell", "/bin/sh", UNPRIVILEGED_USER)
    sudoers = folder / "etc/sudoers.d/lab"
    sudoers.write_text(f"{UNPRIVILEGED_USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    progress(f"{suite}: root built in {time.monotonic() - started:.0f} s")


def keep_network_sysctls(folder: Path) -> None:
    """The guest's systemd-sysctl would set kernel.* and fs.* for this whole machine."""
    for pattern in ("usr/lib/sysctl.d/*.conf", "etc/sysctl.d/*.conf"):
        for file in folder.glob(pattern):
            if file.is_symlink():
                continue
            lines = [line for line in file.read_text().splitlines() if line.lstrip("-# ").startswith("net.")]
            file.write_text("".join(f"{line}\n" for line in lines))


def trust_as_this_machine_does(folder: Path) -> None:
    for name in ("etc/ssl/certs/ca-certificates.crt", "etc/resolv.conf"):
        if Path("/", name).is_file():
            (folder / name).unlink(missing_ok=True)
            shutil.copyfile(Path("/", name), folder / name)


def product_dependencies() -> tuple[str, ...]:
    """What pyproject.toml says, with the extra that reads legacy tables."""
    try:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        return (*project["dependencies"], *project.get("optional-dependencies", {}).get("legacy", ()))
    except (FileNotFoundError, KeyError):
        return DEFAULT_DEPENDENCIES


def build_venv(suite: str, base: Path, dependencies: tuple[str, ...], folder: Path) -> None:
    progress(f"{suite}: installing the product's dependencies")
    started = time.monotonic()
    upper = folder / "upper"
    in_layer(upper, (base,), "python3", "-m", "venv", VENV)
    in_layer(upper, (base,), f"{VENV}/bin/pip", "install", "--quiet", "--no-cache-dir", *dependencies)
    shutil.rmtree(folder / "work", ignore_errors=True)
    progress(f"{suite}: dependencies installed in {time.monotonic() - started:.0f} s")


def in_layer(upper: Path, lowers: tuple[Path, ...], *command: str) -> None:
    """Runs `command` in a chroot of `lowers`; what it writes lands in `upper`. The mounts end with it."""
    work, merged = upper.with_name("work"), upper.with_name("merged")
    for folder in (upper, work, merged):
        folder.mkdir(exist_ok=True)
    stack = ":".join(str(lower) for lower in lowers)
    script = (
        f'mount -t overlay overlay -o "lowerdir={stack},upperdir={upper},workdir={work}" "{merged}" &&'
        f' mount -t proc proc "{merged}/proc" && mount --bind /dev "{merged}/dev" &&'
        f' exec chroot "{merged}" "$@"'
    )
    run_quietly("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command)


def run_quietly(*command: str) -> None:
    """Runs `command`; shows its output only if it fails."""
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.stderr.write(finished.stdout[-4000:] + finished.stderr[-8000:])
        raise RuntimeError(f"{json.dumps(command)} ended with {finished.returncode}")


def progress(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def build(suites: tuple[str, ...] = SUITES) -> None:
    with ThreadPoolExecutor(max_workers=min(len(suites), os.cpu_count() or 1)) as pool:
        list(pool.map(layers, suites))


if __name__ == "__main__":
    build(tuple(sys.argv[1:]) or SUITES)
