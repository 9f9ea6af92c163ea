"""The system calls of a program on a lab host, and which of them could change something or send a packet."""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.lab.host import PATH, LabHost

CALLS = (
    "%file,%network,%process,init_module,finit_module,delete_module,setns,unshare,mount,bpf,kexec_load,"
    "sethostname,settimeofday,clock_settime,swapon,fchmod,fchown,ftruncate,fsetxattr,add_key"
)
ALWAYS_CHANGE = re.compile(
    r"(?:init|finit|delete)_module|mount|umount2?|move_mount|fsmount|open_tree|pivot_root|chroot|unshare|bpf|kexec_load"
    r"|sethostname|settimeofday|clock_settime|swapo(?:n|ff)|acct|add_key|creat|mkdir(?:at)?|rmdir|unlink(?:at)?"
    r"|rename(?:at2?)?|link(?:at)?|symlink(?:at)?|f?chmod(?:at)?|[lf]?chown(?:at)?|mknod(?:at)?|f?truncate"
    r"|utimes?|(?:utimens|futimes)at|[lf]?(?:set|remove)xattr"
)
TOOLS = re.compile(
    r"nft|ip6?tables-(?:nft|legacy)-save|systemctl|journalctl|dpkg-query|dockerdiag|python[0-9.]*|env|nsenter|sh"
)
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")
_HARMLESS_TARGETS = ('"/dev/null"', '"/dev/tty"')
_MESSAGE = re.compile(r"nlmsg_type=([^,}]+)")
# XFRM_MSG_GETPOLICY's number is RTM_DELADDR's, which the kernel refuses without an address: this is a header alone.
_ASKS_POLICIES = re.compile(r"nlmsg_len=16, nlmsg_type=0x15\b[^,}]*")
# SOCK_DIAG_BY_FAMILY's is RTM_NEWADDR's: this is the length of a question about TCP's sockets (and SOCK_DESTROY is 0x15).
_ASKS_SOCKETS = re.compile(r"nlmsg_len=72, nlmsg_type=0x14\b[^,}]*")
_COMPAT = re.compile(r"nlmsg_type=(?:NFNL_SUBSYS_NFT_COMPAT|0xb)")
_ASKS = re.compile(r"GET|SOCK_DIAG_BY_FAMILY|IPSET_CMD_(?:PROTOCOL|LIST|HEADER)")
# By number where strace cannot tell the socket's protocol, which is another namespace's: subsystem and message of
# nf_tables (linux/netfilter/nf_tables.h), its compatibility layer and ipsets.
_ASKING_NUMBERS = {
    0x0A: {0x01, 0x04, 0x07, 0x0A, 0x0D, 0x10, 0x13, 0x17},
    0x0B: {0x00},
    0x06: {0x01, 0x06, 0x07},
}


def traced(host: LabHost, *command: str) -> list[str]:
    """Each system call that a command makes, with all its children."""
    with tempfile.NamedTemporaryFile(prefix="dockerdiag-lab-", suffix=".strace") as log:
        enter = ("nsenter", "--target", str(host.pid1), "--all", "env", "-i", f"PATH={PATH}", "HOME=/root")
        tracer = (
            "strace",
            "-f",
            "-qq",
            "-s",
            "400",
            "-e",
            f"trace={CALLS}",
            "-e",
            "signal=none",
            "-o",
            log.name,
        )
        subprocess.run((*tracer, *enter, *command), capture_output=True, timeout=300, check=False)
        return Path(log.name).read_text(errors="replace").splitlines()


def changes(calls: Iterable[str], *, compat: bool = True) -> list[str]:
    """The calls that change something or send a packet, from the program's own start on.

    Without `compat` nft_compat is not there, and to ask it loads it.
    """
    return list(_changes(calls, compat))


def _changes(calls: Iterable[str], compat: bool) -> Iterator[str]:
    raw_sockets_of: dict[str, str] = {}
    started = False
    for line in calls:
        found = _CALL.match(line)
        if not found:
            continue
        name, rest = found.groups()
        process = line.split(" ", 1)[0]
        if name == "execve":
            program = rest.split('"')[1].rpartition("/")[2]
            # nsenter and env are the lab's own way onto the host.
            started = started or program not in ("nsenter", "env")
            raw_sockets_of[process] = "legacy_worker" if "legacy_worker" in rest else program
            # A program looked for along PATH fails until it is found.
            if "ENOENT" not in rest and not TOOLS.fullmatch(program):
                yield line
        asks_compat = name.startswith("send") and _COMPAT.search(rest)
        if started and (
            _is_change(name, rest, raw_sockets_of.get(process, "")) or (asks_compat and not compat)
        ):
            yield line


def _is_change(name: str, rest: str, program: str) -> bool:
    if ALWAYS_CHANGE.fullmatch(name):
        return True
    if name in ("open", "openat", "openat2"):
        return bool(_WRITES.search(rest)) and not any(target in rest for target in _HARMLESS_TARGETS)
    if name == "setns":
        return "CLONE_NEWNET" not in rest
    if name == "socket":
        # Legacy tables are read with getsockopt, of a raw socket that sends nothing.
        return not rest.startswith(("AF_UNIX", "AF_NETLINK")) and not (
            "legacy" in program and rest.startswith(("AF_INET, SOCK_RAW", "AF_INET6, SOCK_RAW"))
        )
    if name in ("connect", "sendto", "sendmsg", "sendmmsg", "bind"):
        return "sa_family=AF_INET" in rest or (name.startswith("send") and _is_request_to_change(rest))
    return name == "setsockopt" and bool(re.search(r"SOL_IP(?:V6)?, 0x(?:40|41)|IP6?T_SO_SET", rest))


def _is_request_to_change(rest: str) -> bool:
    if "NLM_F_CREATE" in rest or "NLM_F_REPLACE" in rest:
        return True
    others = _ASKS_SOCKETS.sub("", _ASKS_POLICIES.sub("", rest))
    return not all(map(_asks, _MESSAGE.findall(others)))


def _asks(kind: str) -> bool:
    number = kind.split(" ", maxsplit=1)[0]
    if not number.startswith("0x"):
        return bool(_ASKS.search(kind))
    subsystem, message = divmod(int(number, 16), 256)
    if subsystem:
        return message in _ASKING_NUMBERS.get(subsystem, ())
    # rtnetlink counts in fours: new, delete, get, set.
    return message >= 16 and message % 4 == 2
