"""What readers may have left: every text of a snapshot, and in rules what people write freely."""

import json
import time
from dataclasses import replace

import pytest

from dockerdiag.snapshot import Snapshot, TextFile
from dockerdiag.snapshot.masking import credentials_in, without_credentials
from dockerdiag.snapshot.store import dump
from tests.planted import Planted, planted
from tests.recorded import Recorded, name_of, recorded


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_a_recorded_host_stays_as_it_was(one: Recorded) -> None:
    assert without_credentials(one.snapshot) == one.snapshot


@pytest.fixture(scope="module")
def plain() -> Snapshot:
    return next(one.snapshot for one in recorded() if one.path.name == "plain-trixie.json.gz")


@pytest.mark.parametrize("one", planted("net"), ids=lambda one: one.kind)
def test_a_comment_of_a_rule_loses_its_credential_and_the_rule_stays(plain: Snapshot, one: Planted) -> None:
    escaped = one.text.replace("\\", "\\\\").replace('"', '\\"')
    save = f'*filter\n-A INPUT -s 10.0.0.0/8 -m comment --comment "{escaped}" -j DROP\nCOMMIT\n'
    rule = {
        "rule": {"family": "ip", "comment": one.text, "expr": [{"log": {"prefix": one.text}}, {"drop": None}]}
    }
    nft = json.dumps({"nftables": [rule]})
    firewall = replace(plain.network.firewall, iptables_nft=save, nft=nft)
    told = without_credentials(replace(plain, network=replace(plain.network, firewall=firewall)))
    assert one.secret not in dump(told).decode()
    masked = told.network.firewall
    assert isinstance(masked.iptables_nft, str)
    assert isinstance(masked.nft, str)
    assert masked.iptables_nft.startswith("*filter\n-A INPUT -s 10.0.0.0/8 -m comment --comment ")
    assert masked.iptables_nft.endswith(" -j DROP\nCOMMIT\n")
    assert one.words[0] in masked.iptables_nft
    again = json.loads(masked.nft)["nftables"][0]["rule"]
    assert again["expr"][1] == {"drop": None}
    assert again["comment"].startswith(one.words[0])
    assert again["expr"][0]["log"]["prefix"] == again["comment"]


def test_a_mapping_is_masked_by_its_names(plain: Snapshot) -> None:
    told = without_credentials(
        replace(plain, network=replace(plain.network, sysctls={"net/ipv6/conf/eth0/api_token": "zQ7x"}))
    )
    assert told.network.sysctls == {"net/ipv6/conf/eth0/api_token": "***"}


def test_masks_are_counted(plain: Snapshot) -> None:
    text = "HTTP_PROXY=http://***@proxy:3128\nTOKEN=***\n# **** a line ****\n"
    told = replace(plain, hosts_file=TextFile("/etc/hosts", text))
    assert credentials_in(told) == credentials_in(plain) + 2


def test_a_large_host_takes_little_time(plain: Snapshot) -> None:
    save = "*filter\n" + '-A FORWARD -s 10.0.0.1/32 -m comment --comment "team a" -j ACCEPT\n' * 50_000
    firewall = replace(plain.network.firewall, iptables_nft=save)
    large = replace(plain, network=replace(plain.network, firewall=firewall))
    started = time.process_time()
    without_credentials(large)
    assert time.process_time() - started < 5
