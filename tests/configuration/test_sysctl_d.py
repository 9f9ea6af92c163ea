"""sysctl.d: which file has the last word on a key, for systemd-sysctl and for procps."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockerdiag.configuration.sysctl_d import FORWARDING, Assigned, BootValue, final, normalized_key
from dockerdiag.snapshot import BootSysctls, TextFile

ALL = "net/ipv4/conf/all/forwarding"
DEFAULT = "net/ipv4/conf/default/forwarding"


def boot(files: Mapping[str, str], kernel_command_line: str = "", **resolved: str) -> BootSysctls:
    return BootSysctls(
        tuple(
            TextFile(path, text, resolved_path=resolved.get(Path(path).stem)) for path, text in files.items()
        ),
        kernel_command_line,
    )


def place(assigned: Assigned | None) -> tuple[str, str] | None:
    return None if assigned is None else (assigned.value, assigned.origin.source)


def systemd(files: Mapping[str, str], key: str = FORWARDING, **resolved: str) -> tuple[str, str] | None:
    return place(final(boot(files, **resolved), key).systemd)


def procps(files: Mapping[str, str], key: str = FORWARDING) -> tuple[str, str] | None:
    return place(final(boot(files), key).procps)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("net.ipv4.ip_forward", FORWARDING),
        ("net/ipv4/ip_forward", FORWARDING),
        ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("/net/ipv4//ip_forward", FORWARDING),
    ],
)
def test_first_separator_decides(text: str, key: str) -> None:
    assert normalized_key(text) == key


def test_nothing_set() -> None:
    assert final(boot({}), FORWARDING) == BootValue(None, None)
    assert (
        systemd(
            {"/etc/sysctl.d/a.conf": "# net.ipv4.ip_forward=0\n;net.ipv4.ip_forward=0\nnet.ipv4.ip_forward\n"}
        )
        is None
    )


def test_last_file_by_base_name_wins() -> None:
    files = {
        "/etc/sysctl.d/10-docker.conf": "net.ipv4.ip_forward = 1\n",
        "/usr/lib/sysctl.d/99-hardening.conf": "\n net/ipv4/ip_forward=0 \n",
    }
    assert systemd(files) == procps(files) == ("0", "/usr/lib/sysctl.d/99-hardening.conf:2")


def test_same_base_name_in_etc_hides_the_others() -> None:
    files = {
        "/usr/lib/sysctl.d/50-x.conf": "net.ipv4.ip_forward=0\n",
        "/run/sysctl.d/50-x.conf": "net.ipv4.ip_forward=2\n",
        "/etc/sysctl.d/50-x.conf": "net.ipv4.ip_forward=1\n",
    }
    assert systemd(files) == procps(files) == ("1", "/etc/sysctl.d/50-x.conf:1")


def test_masked_file() -> None:
    files = {"/usr/lib/sysctl.d/50-x.conf": "net.ipv4.ip_forward=0\n", "/etc/sysctl.d/50-x.conf": ""}
    assert final(boot(files, **{"50-x": "/dev/null"}), FORWARDING) == BootValue(None, None)


def test_sysctl_conf_is_read_by_procps_alone() -> None:
    files = {
        "/etc/sysctl.d/99-z.conf": "net.ipv4.ip_forward=1\n",
        "/etc/sysctl.conf": "net.ipv4.ip_forward=0\n",
    }
    assert systemd(files) == ("1", "/etc/sysctl.d/99-z.conf:1")
    assert procps(files) == ("0", "/etc/sysctl.conf:1")
    assert not final(boot(files), FORWARDING).agree


def test_link_to_sysctl_conf_makes_systemd_read_it_and_names_the_file_behind() -> None:
    text = "net.ipv4.ip_forward=0\n"
    files = {"/etc/sysctl.d/99-sysctl.conf": text, "/etc/sysctl.conf": text}
    assert systemd(files, **{"99-sysctl": "/etc/sysctl.conf"}) == ("0", "/etc/sysctl.conf:1")


def test_all_forwarding_is_the_same_knob() -> None:
    files = {"/etc/sysctl.d/1.conf": "net.ipv4.ip_forward=1\nnet.ipv4.conf.all.forwarding=0\n"}
    assert systemd(files, FORWARDING) == systemd(files, ALL) == ("0", "/etc/sysctl.d/1.conf:2")
    assert systemd(files, DEFAULT) == ("0", "/etc/sysctl.d/1.conf:2")


def test_writing_one_over_one_does_not_spread() -> None:
    text = "net.ipv4.ip_forward=1\nnet.ipv4.conf.default.forwarding=0\nnet.ipv4.conf.all.forwarding=1\n"
    assert systemd({"/etc/sysctl.d/1.conf": text}, DEFAULT) == ("0", "/etc/sysctl.d/1.conf:2")


def test_named_key_wins_over_pattern_wherever_it_stands() -> None:
    text = "net.ipv4.conf.eth0.rp_filter=2\nnet.ipv4.conf.*.rp_filter=1\n"
    files = {"/etc/sysctl.d/1.conf": text}
    assert systemd(files, "net/ipv4/conf/eth0/rp_filter") == ("2", "/etc/sysctl.d/1.conf:1")
    assert systemd(files, "net/ipv4/conf/eth1/rp_filter") == ("1", "/etc/sysctl.d/1.conf:2")


def test_exclusion() -> None:
    text = "net.ipv4.conf.*.rp_filter=1\n-net.ipv4.conf.eth0.rp_filter\n-net.ipv4.conf.br-*.rp_filter\n"
    files = {"/etc/sysctl.d/1.conf": text}
    assert systemd(files, "net/ipv4/conf/all/rp_filter") == ("1", "/etc/sysctl.d/1.conf:1")
    # A link of its own still has what default got.
    assert final(boot(files), "net/ipv4/conf/eth0/rp_filter").procps_certain
    text = "net.ipv4.conf.*.rp_filter=1\n-net.ipv4.conf.a*.rp_filter\n"
    assert not final(boot({"/etc/sysctl.d/1.conf": text}), "net/ipv4/conf/all/rp_filter").procps_certain


def test_dash_before_an_assignment_only_forgives() -> None:
    assert systemd({"/etc/sysctl.d/1.conf": "-net.ipv4.ip_forward = 0"}) == ("0", "/etc/sysctl.d/1.conf:1")


def test_kernel_command_line_comes_first() -> None:
    value = final(boot({}, "quiet sysctl.net.ipv4.ip_forward=0 ro"), FORWARDING)
    assert place(value.systemd) == ("0", "/proc/cmdline")
    assert value.procps is None
    files = {"/etc/sysctl.d/1.conf": "net.ipv4.ip_forward=1\n"}
    assert place(final(boot(files, "sysctl.net.ipv4.ip_forward=0"), FORWARDING).systemd) == (
        "1",
        "/etc/sysctl.d/1.conf:1",
    )


def test_ufw_speaks_for_itself() -> None:
    files = {
        "/etc/sysctl.d/1.conf": "net.ipv4.ip_forward=1\n",
        "/etc/ufw/sysctl.conf": "net/ipv4/ip_forward=0\n",
    }
    value = final(boot(files), FORWARDING)
    assert place(value.ufw) == ("0", "/etc/ufw/sysctl.conf:1")
    assert place(value.systemd) == ("1", "/etc/sysctl.d/1.conf:1")
    assert not value.agree


def test_order_of_events_decides_for_a_link_of_its_own() -> None:
    files = {"/etc/sysctl.d/1.conf": "net.ipv4.conf.eth0.forwarding=0\nnet.ipv4.ip_forward=1\n"}
    assert not final(boot(files), "net/ipv4/conf/eth0/forwarding").certain
    files = {"/etc/sysctl.d/1.conf": "net.ipv4.ip_forward=1\nnet.ipv4.conf.eth0.forwarding=0\n"}
    assert final(boot(files), "net/ipv4/conf/eth0/forwarding").certain


# -- the programs themselves, in a namespace that has nothing but these files ----------------------------------------

KEYS = (
    FORWARDING,
    ALL,
    DEFAULT,
    "net/ipv4/conf/lo/forwarding",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/conf/lo/rp_filter",
)
SYSTEMD_SYSCTL = Path("/usr/lib/systemd/systemd-sysctl")
ISOLATED = """
set -e
mount --bind "$FILES/etc.sysctl.d" /etc/sysctl.d
mount --bind "$FILES/usr.lib.sysctl.d" /usr/lib/sysctl.d
mount --bind "$FILES/sysctl.conf" /etc/sysctl.conf
for key in net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv4.conf.default.rp_filter
do sysctl -qw $key=0; done
"$@" >/dev/null 2>&1 || true
cd /proc/sys; cat $KEYS
"""

NAMES = st.sampled_from(["10-a.conf", "50-b.conf", "9.conf", "A.conf", "z.conf", "not"])
LINES = st.tuples(
    st.sampled_from(["", "", "", "-", "#", ";", " "]),
    st.sampled_from([*KEYS, *(key.replace("/", ".") for key in KEYS)])
    | st.sampled_from(
        ["net.ipv4.conf.*.forwarding", "net/ipv4/conf/*/rp_filter", "net.ipv4.conf.[dl]*.rp_filter"]
    ),
    st.sampled_from(["=0", "=1", " = 1 ", "\t=0", "", "=1"]),
).map("".join)
FOLDER = st.dictionaries(NAMES, st.lists(LINES, max_size=5).map("\n".join), max_size=4)


def can_isolate() -> bool:
    tools = shutil.which("unshare") and shutil.which("sysctl") and SYSTEMD_SYSCTL.exists()
    others = [*Path("/run/sysctl.d").glob("*"), *Path("/usr/local/lib/sysctl.d").glob("*")]
    if not tools or others or not Path("/etc/sysctl.conf").is_file() or not Path("/etc/sysctl.d").is_dir():
        return False
    command = ["unshare", "--mount", "--net", "--propagation", "private", "true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def apply(
    folder: Path, files: Mapping[str, Mapping[str, str]], sysctl_conf: str, *command: str
) -> dict[str, str]:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("etc.sysctl.d", "usr.lib.sysctl.d"):
        (folder / name).mkdir(parents=True)
        for file, text in files[name].items():
            (folder / name / file).write_text(text)
    (folder / "sysctl.conf").write_text(sysctl_conf)
    ran = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", ISOLATED, "sh", *command],
        env={"FILES": str(folder), "KEYS": " ".join(KEYS), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(KEYS, ran.stdout.split(), strict=True))


@pytest.mark.kernel
@pytest.mark.skipif(not can_isolate(), reason="needs root, unshare, sysctl and systemd-sysctl")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(etc=FOLDER, usr=FOLDER, sysctl_conf=st.lists(LINES, max_size=3).map("\n".join))
def test_the_programs_set_what_was_predicted(
    tmp_path: Path, etc: dict[str, str], usr: dict[str, str], sysctl_conf: str
) -> None:
    folders = {"etc.sysctl.d": etc, "usr.lib.sysctl.d": usr}
    texts = {"/etc/sysctl.conf": sysctl_conf}
    texts |= {f"/etc/sysctl.d/{name}": text for name, text in etc.items()}
    texts |= {f"/usr/lib/sysctl.d/{name}": text for name, text in usr.items()}
    predicted = {key: final(boot(texts), key) for key in KEYS}
    done = apply(tmp_path / "files", folders, sysctl_conf, str(SYSTEMD_SYSCTL))
    said = {
        key: value.systemd.value if value.systemd else "0"
        for key, value in predicted.items()
        if value.certain
    }
    assert {key: done[key] for key in said} == said
    done = apply(tmp_path / "files", folders, sysctl_conf, "sysctl", "--system")
    said = {
        key: value.procps.value if value.procps else "0"
        for key, value in predicted.items()
        if value.procps_certain
    }
    assert {key: done[key] for key in said} == said
