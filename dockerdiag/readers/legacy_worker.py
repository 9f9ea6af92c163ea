"""`python -m dockerdiag.readers.legacy_worker 4|6`: prints the registered legacy tables, as a save does.

python-iptables writes each extension's text to file descriptor 1 and reads it back there, so the result goes
out by another.
"""

import ctypes
import ctypes.util
import importlib
import importlib.util
import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

_MAXIMUM_MAJOR = 20
"""Of a library's version; that of libxtables, the highest, is 12."""


def _library() -> ModuleType:
    """python-iptables, without the modprobe, the compiler and the linker that its import runs."""
    package = importlib.util.find_spec("iptc")
    if package is None or package.origin is None:
        raise ImportError("python-iptables is not installed")
    name = "iptc.util"
    specification = importlib.util.spec_from_file_location(name, Path(package.origin).with_name("util.py"))
    if specification is None or specification.loader is None:
        raise ImportError(name)
    helpers: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(helpers)
    helpers.load_kernel = lambda *_arguments, **_options: None
    ctypes.util.find_library = _soname
    # Without it the library runs `ldconfig -N -v`, which updates links.
    os.environ.setdefault("XTABLES_LIBDIR", _extensions())
    sys.modules[name] = helpers
    return importlib.import_module("iptc")


def _soname(name: str) -> str | None:
    """As ctypes.util.find_library, which would run ldconfig, gcc and ld, and leave it to them to write files."""
    for major in range(_MAXIMUM_MAJOR, -1, -1):
        soname = f"lib{name}.so.{major}"
        try:
            ctypes.CDLL(soname)
        except OSError:
            continue
        return soname
    return None


def _extensions() -> str:
    """The directory of the extensions, which is beside the library that loads them."""
    _soname("xtables")
    with Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        loaded = (line.split(None, 5)[-1].rstrip("\n") for line in maps if "/libxtables.so" in line)
        directories = [Path(path).with_name("xtables") for path in loaded]
    for directory in directories:
        if directory.is_dir():
            return str(directory)
    raise ImportError("the extensions of iptables are not where its library is")


def tables(version: int) -> Iterator[str]:
    """The lines of a save of every table that is registered in this network namespace."""
    listing = "ip_tables_names" if version == 4 else "ip6_tables_names"
    names = Path(f"/proc/self/net/{listing}").read_text(encoding="ascii").split()
    if not names:
        return
    iptc: Any = _library()
    kind = iptc.Table if version == 4 else iptc.Table6
    # The library makes every table of ALL known when asked for any.
    kind.ALL[:] = names
    for name in names:
        # One handle: each new one reads the whole table again.
        table = kind(name, autocommit=False)
        yield f"*{name}"
        yield from _chains(table)
        yield "COMMIT"


def _chains(table: Any) -> Iterator[str]:
    chains = table.chains
    for chain in chains:
        if chain.is_builtin():
            policy = chain.get_policy()
            packets, octets = policy_counters(chain)
            yield f":{chain.name} {policy.name} [{packets}:{octets}]"
        else:
            yield f":{chain.name} - [0:0]"
    for chain in chains:
        for rule in chain.rules:
            packets, octets = rule.get_counters()
            yield f"[{packets}:{octets}] -A {chain.name}{rule_text(rule)}"


def policy_counters(chain: Any) -> tuple[int, int]:
    """A built-in chain's counters."""
    found = chain.get_counters()
    return (found[0], found[1]) if found else (0, 0)


def rule_text(rule: Any) -> str:
    """A rule's matches and target, as the kernel's own tools would print them."""
    parts = [
        _negatable("-s", _network(rule.src)),
        _negatable("-d", _network(rule.dst)),
        _negatable("-i", rule.in_interface),
        _negatable("-o", rule.out_interface),
        _negatable("-p", None if rule.protocol in (None, "ip", "all") else rule.protocol),
    ]
    if getattr(rule, "fragment", False):  # IPv6 has none
        parts.append("-f")
    parts += [f"-m {match.name}{_saved(match, rule)}" for match in rule.matches]
    target = rule.target
    if target is not None and target.name:
        parts.append(f"{'-g' if target.goto else '-j'} {target.name}{_saved(target, rule)}")
    return "".join(f" {part}" for part in parts if part)


def _saved(extension: Any, rule: Any) -> str:
    """What the extension's own save function prints: exact, where the library's parameters lose negation."""
    text = extension._get_saved_buf(rule.get_ip())  # noqa: SLF001 - the one place that is not parsed again
    return (" " + text.decode(errors="replace").strip()).rstrip() if text else ""


def _negatable(flag: str, value: str | None) -> str:
    if not value:
        return ""
    return f"! {flag} {value[1:].strip()}" if value.startswith("!") else f"{flag} {value}"


def _network(written: str | None) -> str | None:
    """`10.0.0.0/255.0.0.0` as `10.0.0.0/8`; None for any address."""
    if written is None:
        return None
    negated, address = written.startswith("!"), written.lstrip("! ")
    try:
        network = ipaddress.ip_network(address, strict=False)
    except ValueError:
        return written  # a mask that is no prefix stays as it is
    if network.prefixlen == 0 and not negated:
        return None
    return ("!" if negated else "") + str(network)


def main() -> int:
    """Prints the tables; 1 with the reason on stderr where the library fails."""
    results = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        text = "\n".join(tables(int(sys.argv[1])))
    except Exception as error:  # noqa: BLE001 - its failures have no common class, not even at import
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    with os.fdopen(results, "w", encoding="utf-8") as output:
        output.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
