"""Which of many subnets overlap, in a time that grows with their number and that of the overlaps."""

from collections.abc import Sequence

from dockerdiag_checks.subnets import Subnet


def overlapping(subnets: Sequence[Subnet]) -> tuple[tuple[int, ...], ...]:
    """For each subnet the places of the others that share addresses with it, in their order."""
    found: list[list[int]] = [[] for _ in subnets]
    around: list[int] = []
    # Subnets that overlap lie one within the other, and the outer one comes first here.
    for place in sorted(range(len(subnets)), key=lambda at: (subnets[at].version, *_extent(subnets[at]))):
        while around and not subnets[around[-1]].overlaps(subnets[place]):
            around.pop()
        for outer in around:
            found[outer].append(place)
            found[place].append(outer)
        around.append(place)
    return tuple(tuple(sorted(places)) for places in found)


def _extent(subnet: Subnet) -> tuple[int, int]:
    return int(subnet.network_address), subnet.prefixlen
