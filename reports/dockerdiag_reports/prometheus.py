"""The report as gauges in the text format 0.0.4, for the textfile collector of node_exporter.

The only words of the host among the labels are names of checks and networks: a container's name or id would make
a new series at every deployment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Report, Status, Verdict, worst
from dockerdiag_reports.monitoring import COUNTED, judged
from dockerdiag_reports.untrusted import clean

Labels = Mapping[str, str]
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(report: Report, options: RenderOptions) -> str:  # noqa: ARG001 - a scrape asks always the same
    """Every family once, its samples together, none with a timestamp: the collector refuses those."""
    harmless = clean(report)
    families = [
        _family("build_info", "The dockerdiag that made these.", [({"version": harmless.tool.version}, 1)]),
        _last_run(harmless),
        _family(
            "verdict",
            "1 for the verdict on this host, 0 for the others.",
            (({"verdict": each.value}, int(each is harmless.verdict)) for each in Verdict),
        ),
        _check_status(harmless),
        _findings(harmless),
        _walks(harmless),
        _family("unread_parts", "Parts of the host that could not be read.", [({}, len(harmless.unread))]),
    ]
    return "".join(families)


def _last_run(report: Report) -> str:
    try:
        taken_at = datetime.fromisoformat(report.taken_at).timestamp()
    except (ValueError, OverflowError):
        return ""
    return _family("last_run_timestamp_seconds", "When the host was read.", [({}, int(taken_at))])


def _check_status(report: Report) -> str:
    statuses: dict[str, list[Status]] = {}
    for result in report.results:
        statuses.setdefault(result.check, []).append(result.status)
    return _family(
        "check_status",
        "1 for the status of a check, 0 for the others.",
        (
            ({"check": check, "status": each.value}, int(each is worst(met)))
            for check, met in statuses.items()
            for each in Status
        ),
    )


def _findings(report: Report) -> str:
    counts = {(result.check, "", status): 0 for result in report.results for status in COUNTED}
    for check, subject, status in judged(report):
        kind, _, name = subject.partition(":")
        if status in COUNTED:
            key = (check, name if kind == "network" else "", status)
            counts[key] = counts.get(key, 0) + 1
    return _family(
        "findings",
        "Findings that nobody declared as expected; those about one network carry its name.",
        (
            ({"check": check, **({"network": network} if network else {}), "status": status.value}, count)
            for (check, network, status), count in counts.items()
        ),
    )


def _walks(report: Report) -> str:
    counts = Counter((walk.network or "", walk.disposition.value) for walk in report.walks)
    return _family(
        "walks",
        "Packets that were followed through what was read, by how they end.",
        (
            ({**({"network": network} if network else {}), "disposition": disposition}, count)
            for (network, disposition), count in counts.items()
        ),
    )


def _family(name: str, meaning: str, samples: Iterable[tuple[Labels, int]]) -> str:
    """A gauge with its samples; empty where it has none."""
    rows = [f"dockerdiag_{name}{_labels(labels)} {value}\n" for labels, value in samples]
    head = f"# HELP dockerdiag_{name} {meaning}\n# TYPE dockerdiag_{name} gauge\n"
    return head + "".join(rows) if rows else ""


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


FORMAT = Format(
    name="prometheus",
    suffixes=(".prom",),
    media_type="text/plain; version=0.0.4; charset=utf-8",
    render=render,
)
