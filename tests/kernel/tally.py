"""What came of the comparisons, counted by the families that each case belongs to."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Result = Literal["agreed", "unknown", "disagreed"]
RESULTS: tuple[Result, ...] = ("agreed", "unknown", "disagreed")
_OF_ONE_RULE_SET = 4
"""Flows that are sent through one rule set, and all meet the one rule that cannot be judged."""
Share = tuple[str, str]
"""A way of dividing the cases, and the family a case belongs to by it: `("tool", "iptables-nft")`."""


@dataclass(slots=True)
class Tally:
    """Counts of cases."""

    results: Counter[str] = field(default_factory=Counter)
    by_share: dict[Share, Counter[str]] = field(default_factory=dict)
    rule_sets: int = 0
    refused: list[str] = field(default_factory=list)
    """Rule sets that the tools would not load."""
    disagreements: list[str] = field(default_factory=list)
    doubts: Counter[str] = field(default_factory=Counter)
    """Why cases were unknown."""

    @property
    def cases(self) -> int:
        """How many were compared."""
        return self.results.total()

    def count(self, result: Result, shares: Iterable[Share]) -> None:
        """Counts one case."""
        self.results[result] += 1
        for share in shares:
            self.by_share.setdefault(share, Counter())[result] += 1

    def refuse(self, why: str) -> None:
        """Notes a rule set that could not be loaded."""
        self.refused.append(why[:300])

    def add(self, other: "Tally") -> None:
        """Adds what another run counted."""
        self.results += other.results
        for share, counts in other.by_share.items():
            self.by_share.setdefault(share, Counter()).update(counts)
        self.rule_sets += other.rule_sets
        self.refused += other.refused
        self.disagreements += other.disagreements
        self.doubts += other.doubts

    def rows(self) -> Iterator[tuple[str, str, int, int, int]]:
        """By family: division, family, agreed, unknown, disagreed."""
        for (division, family), counts in sorted(self.by_share.items()):
            agreed, unknown, disagreed = (counts[result] for result in RESULTS)
            yield division, family, agreed, unknown, disagreed

    def too_often_unknown(self) -> list[Share]:
        """The families with unknown in a hundredth of their cases or more, and more than one rule set can make."""
        return [
            share
            for share, counts in self.by_share.items()
            if counts["unknown"] > max(_OF_ONE_RULE_SET, 0.01 * counts.total())
        ]

    def as_json(self) -> dict[str, Any]:
        """In a form that a test's report carries from one process to another."""
        return {
            "results": dict(self.results),
            "by_share": [[*share, dict(counts)] for share, counts in self.by_share.items()],
            "rule_sets": self.rule_sets,
            "refused": self.refused,
            "disagreements": self.disagreements,
            "doubts": dict(self.doubts),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Tally":
        """What `as_json` gave."""
        return cls(
            results=Counter(data["results"]),
            by_share={(division, family): Counter(counts) for division, family, counts in data["by_share"]},
            rule_sets=data["rule_sets"],
            refused=data["refused"],
            disagreements=data["disagreements"],
            doubts=Counter(data["doubts"]),
        )

    def lines(self) -> list[str]:
        """A table in plain text."""
        lines = [
            f"{self.cases} cases through {self.rule_sets} rule sets ({len(self.refused)} refused by the tools)"
        ]
        head = ("", "", "agreed", "unknown", "disagreed")
        for division, family, *counts in (
            head,
            *self.rows(),
            ("all", "", *(self.results[r] for r in RESULTS)),
        ):
            lines.append(f"{division:12}{family:36}" + "".join(f"{count:>10}" for count in counts))
        lines += [f"unknown {number} times: {doubt}" for doubt, number in self.doubts.most_common()]
        return lines
