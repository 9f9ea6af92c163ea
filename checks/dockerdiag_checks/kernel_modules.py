"""Can the kernel still load what the engine needs?

## What it asks

Whether the running kernel's module tree (/lib/modules, by its release) is there, and which of the modules that a
bridge network needs are neither loaded, nor built in, nor loadable. Whether `kernel.modules_disabled` forbids it.

## Why it breaks containers

An upgrade of the kernel may take the running kernel's modules with it. What is loaded stays, so running containers
go on; the first container that needs veth, bridge or a match of iptables which is not loaded yet does not start:
`failed to add the host (veth…) <=> sandbox (veth…) pair interfaces: operation not supported`. Only a reboot mends
it. Slim kernels leave modules out from the start: xt_addrtype is in a package of its own on Enterprise Linux 10.

## What is normal and not reported

- A kernel without modules, and modules that are built in.
- A missing tree while all that is needed is loaded.
- A container or a virtual environment whose /lib/modules is another host's business.

## Remedy

A reboot into a kernel whose modules are installed; or the package that brings them.

## References

- moby/moby#27426, docker/for-linux#1070, docker/docker-ce-packaging#1340, docker/for-linux#1559
- modules.builtin: Linux, Documentation/kbuild/kbuild.rst
"""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.registry import check
from dockerdiag.report import Finding, Status
from dockerdiag.snapshot import ModuleTree
from dockerdiag_checks.engine_failures import kernel_with_modules, module_evidence

NEEDS = ("engine", "engine.networks", "host.module_tree")

FOR_CONTAINERS = ("veth", "bridge")
"""What a container's start needs; the engine that answers has made its rules with the others already."""


@check(
    "kernel-modules",
    title="Can the kernel still load what the engine needs?",
    group="Host",
    place=14,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """At most one finding."""
    tree = case.snapshot.host.module_tree
    if not isinstance(tree, ModuleTree) or case.snapshot.host.virtualization is not None:
        return
    absent = [name for name in FOR_CONTAINERS if name in tree.absent]
    if absent and any(network.bridge for network in case.networks):
        gone = not tree.exists and bool(tree.others)
        yield Finding(
            code="kernel-modules-missing-after-upgrade" if gone else "kernel-module-missing",
            status=Status.WARN,
            subject=case.host,
            summary=(
                f"The kernel has no {' and no '.join(absent)}, and cannot load "
                f"{'them' if len(absent) > 1 else 'it'}: the next container on a bridge network does not start"
                + ("; an upgrade took the running kernel's modules away" if gone else "")
            ),
            evidence=module_evidence(tree),
            remedies=(kernel_with_modules(case, tree),),
        )
