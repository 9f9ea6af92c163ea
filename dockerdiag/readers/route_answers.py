"""The kernel's own answers to "which way would this packet go"; nothing is sent."""

import errno
from collections.abc import Iterable, Mapping

from dockerdiag.dataclass import dataclass
from dockerdiag.readers.routing import gateway
from dockerdiag.readers.rtnetlink import Rtnetlink
from dockerdiag.snapshot import Link, RouteAnswer

_ROUTE_TYPES = {1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast"}


@dataclass(frozen=True, slots=True)
class RouteQuestion:
    """A packet to `destination`; with `in_link` as if it had come in there, else sent by the host itself."""

    destination: str
    source: str | None = None
    in_link: str | None = None
    mark: int = 0


def ask_routes(
    questions: Iterable[RouteQuestion], links: Iterable[Link], sysctls: Mapping[str, str]
) -> tuple[RouteAnswer, ...]:
    """Asks with RTM_GETROUTE, in the network namespace the reader is in.

    Left out are questions about links that are not there, and about links with log_martians: there the kernel
    would log a packet that does not exist.
    """
    by_name = {link.name: link.index for link in links}
    names = {index: name for name, index in by_name.items()}
    asked = [
        question
        for question in dict.fromkeys(questions)
        if question.in_link is None
        or (question.in_link in by_name and not _logs_martians(question.in_link, sysctls))
    ]
    if not asked:
        return ()
    with Rtnetlink() as rtnetlink:
        return tuple(_ask(rtnetlink, question, by_name, names) for question in asked)


def _logs_martians(link: str, sysctls: Mapping[str, str]) -> bool:
    return any(sysctls.get(f"net/ipv4/conf/{name}/log_martians", "0") != "0" for name in ("all", link))


def _ask(
    rtnetlink: Rtnetlink, question: RouteQuestion, by_name: Mapping[str, int], names: Mapping[int, str]
) -> RouteAnswer:
    same = (question.destination, question.source, question.in_link, question.mark)
    came_in = by_name[question.in_link] if question.in_link is not None else None
    try:
        message = rtnetlink.route(question.destination, question.source, came_in, question.mark)
    except OSError as error:
        return RouteAnswer(*same, error=errno.errorcode.get(error.errno or 0, str(error)))
    attributes = message["attrs"]
    # For IPv6 the kernel answers an unreachable route with the route and its errno inside.
    failed = attributes.get("RTA_CACHEINFO", {}).get("rta_error", 0)
    kind = message["type"]
    return RouteAnswer(
        *same,
        error=errno.errorcode.get(abs(failed)) if failed else None,
        type=_ROUTE_TYPES.get(kind, str(kind)),
        out_link=names.get(attributes.get("RTA_OIF", 0)),
        gateway=gateway(attributes),
        table=attributes.get("RTA_TABLE", message["table"]),
        preferred_source=attributes.get("RTA_PREFSRC"),
    )
