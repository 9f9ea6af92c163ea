"""Tools of the host that are missing, crash, hang, print half or without end: their part is unread, all else is read."""

import shutil
from pathlib import Path

import pytest

from tests.unbreakable.running import check, needs_root

pytestmark = [
    needs_root,
    pytest.mark.skipif(not shutil.which("iptables-nft"), reason="needs iptables and nftables"),
]

RULES = """
iptables-nft -A FORWARD -i nowhere0 -j DROP
ip6tables-nft -A FORWARD -i nowhere0 -j DROP
iptables-legacy -A FORWARD -i nowhere1 -j DROP 2>/dev/null || true
ip6tables-legacy -A FORWARD -i nowhere1 -j DROP 2>/dev/null || true
mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir /run/systemd/system
"""
PARTS = {
    "nft": "network.firewall.nft",
    "iptables-nft-save": "network.firewall.iptables_nft",
    "ip6tables-nft-save": "network.firewall.ip6tables_nft",
    "iptables-legacy-save": "network.firewall.iptables_legacy",
    "ip6tables-legacy-save": "network.firewall.ip6tables_legacy",
    "journalctl": "journal",
}
WAYS = {
    "crashes": ("kill -SEGV $$", "was killed by signal 11"),
    "fails": ("echo broken >&2; exit 1", "failed (1): broken"),
    "hangs": ("sleep 600 & exec sleep 600", "no answer within"),
    "ignores-signals": ("trap '' TERM INT HUP; while :; do sleep 1; done", "no answer within"),
    "half": (
        "printf '{\"nftables\": [{\"metainfo\"\\n'; printf '*filter\\n:FORWARD ACCEPT [0:0]\\n'",
        "in the middle of",
    ),
    "gigabytes": ("exec cat /dev/zero", "printed more than"),
    "complains": ("yes x >&2 & exec yes x >&2", "no answer within"),
}


def put(folder: Path, name: str, script: str) -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def path_with(folder: Path) -> str:
    # After the rules are made by the real tools.
    return f"{RULES}\nexport PATH={folder}:$PATH"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tool", ["nft", "iptables-nft-save", "ip6tables-legacy-save"])
def test_a_firewall_tool_that(tmp_path: Path, tool: str, way: str) -> None:
    script, says = WAYS[way]
    put(tmp_path, tool, script)
    ran = check("-f", "json", setup=path_with(tmp_path), timeout=12).in_good_order(3)
    part = PARTS[tool]
    if "legacy" in tool and part not in ran.unread:
        pytest.skip("this kernel registers no legacy tables in a namespace")
    # A busy machine may be too slow to print so much.
    assert says in ran.unread[part] or (way == "gigabytes" and "no answer" in ran.unread[part]), ran.unread
    others = {one for name, one in PARTS.items() if name not in (tool, "journalctl")}
    assert not others & ran.unread.keys(), ran.unread


@pytest.mark.parametrize("way", ["crashes", "fails", "hangs", "gigabytes"])
def test_all_tools_at_once(tmp_path: Path, way: str) -> None:
    for tool in (*PARTS, "systemctl", "iptables-save", "ip6tables-save", "docker", "modprobe"):
        put(tmp_path, tool, WAYS[way][0])
    ran = check("-f", "json", setup=path_with(tmp_path), timeout=12).in_good_order(3)
    assert "network.firewall.nft" in ran.unread
    assert "journal" in ran.unread


@pytest.mark.parametrize(
    "script", ["head -c 100000 /dev/urandom", "echo MainPID=x; echo ActiveState", "exit 0"]
)
def test_systemctl_and_journalctl_that_print_nonsense(tmp_path: Path, script: str) -> None:
    for tool in ("systemctl", "journalctl"):
        put(tmp_path, tool, script)
    unit = f"{path_with(tmp_path)}\nmkdir -p /run/systemd/system && printf '[Service]\\nExecStart=/usr/bin/dockerd\\n' > /run/systemd/system/docker.service"
    check("-f", "json", setup=unit).in_good_order(2, 3)


def test_missing_tools(tmp_path: Path) -> None:
    # What hides the real ones hides nothing that Python needs.
    hide = f"""{RULES}
    mount -t tmpfs none /usr/sbin
    mkdir {tmp_path}/up {tmp_path}/work
    mknod {tmp_path}/up/systemctl c 0 0; mknod {tmp_path}/up/journalctl c 0 0
    mount -t overlay overlay -o lowerdir=/usr/bin,upperdir={tmp_path}/up,workdir={tmp_path}/work /usr/bin
    """
    ran = check("-f", "json", setup=hide).in_good_order(3)
    assert ran.unread["network.firewall.nft"] == "nft is not installed"
    assert ran.unread["journal"] == "journalctl is not installed"
