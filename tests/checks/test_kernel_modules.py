"""A kernel that cannot load what a container's start needs."""

from dataclasses import replace

from dockerdiag.report import Verdict
from dockerdiag.snapshot import ModuleTree
from tests.checks.hosts import Change, cause_of, judged

TREE = "/lib/modules/6.1.0-1"


def kernel(tree: ModuleTree | None, virtualization: str | None = None) -> Change:
    return lambda snapshot: replace(
        snapshot, host=replace(snapshot.host, module_tree=tree, virtualization=virtualization)
    )


def test_a_tree_that_an_upgrade_took_away() -> None:
    gone = ModuleTree(TREE, exists=False, others=("6.1.0-2",), absent=("veth",))
    report = judged(kernel(gone))
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report)[:2] == ("kernel-modules", "kernel-modules-missing-after-upgrade")
    assert report.cause is not None
    assert "6.1.0-2" in "\n".join(piece.text for piece in report.cause.evidence)
    assert report.cause.remedies[0].lasting == ("systemctl reboot",)


def test_a_missing_tree_while_all_is_loaded() -> None:
    gone = ModuleTree(TREE, exists=False, others=("6.1.0-2",), absent=("xt_addrtype",))
    assert judged(kernel(gone)).verdict is Verdict.OK


def test_a_kernel_without_modules_and_a_container() -> None:
    assert judged(kernel(None)).verdict is Verdict.OK
    gone = ModuleTree(TREE, exists=False, absent=("veth", "bridge"))
    assert judged(kernel(gone, "lxc")).verdict is Verdict.OK
