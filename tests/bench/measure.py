"""Parses listings and walks every container, in a process of its own: `python -m tests.bench.measure FOLDER NETWORKS`."""

import json
import resource
import sys
import time
from pathlib import Path

from dockerdiag.packet.plan import errands
from dockerdiag.packet.walk import Walker
from dockerdiag.snapshot.model import Firewall
from tests.bench.host import snapshot
from tests.bench.rules import Size


def main(folder: Path, size: Size) -> dict[str, float]:
    """Seconds and megabytes."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    walker = Walker(snapshot(size, Firewall(nft=texts["nft"], iptables_nft=texts["iptables_nft"])))
    began = time.process_time()
    ruleset = walker.world.host.ruleset
    parsed = time.process_time()
    chosen = errands(walker.world)
    told_apart = time.process_time()
    journeys = [walker.walk(errand.flow) for errand in chosen]
    walked = time.process_time()
    lost = [journey for journey in journeys if journey.disposition != "delivered"]
    if len(journeys) != size.containers or lost:
        raise RuntimeError(f"{len(journeys)} walks, {len(lost)} not delivered: {lost[:1]}")
    chains = [chain for table in ruleset.tables for chain in table.chains.values()]
    return {
        "rules": sum(len(chain.rules) for chain in chains),
        "chains": len(chains),
        "parse": parsed - began,
        "likeness": told_apart - parsed,
        "walks": walked - told_apart,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Size(int(sys.argv[2])))))
