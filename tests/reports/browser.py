"""Reports in Chromium, as a ticket system would show them."""

import shutil
from typing import Any

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Report
from dockerdiag_reports.html import FORMAT

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ADDRESS = "http://report.test/ticket/report.html"
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class Opened:
    """A report in a tab of its own, with what the tab asked for and complained of."""

    def __init__(self, context: Any, report: Report | str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        options = RenderOptions(command="dockerdiag -o report.html", duration=1.84)
        self.html = report if isinstance(report, str) else FORMAT.render(report, options)
        # Served as by a ticket system: a request for anything else would show, and would fail.
        self.page.route(ADDRESS, lambda route: route.fulfill(body=self.html, content_type=FORMAT.media_type))
        self.page.goto(ADDRESS)

    def violations(self, axe: str) -> list[tuple[str, list[str]]]:
        """Rules that axe, whose source is given, finds broken, each with some of the elements."""
        self.page.evaluate(axe)
        found = self.page.evaluate(
            "(values) => axe.run({runOnly: {type: 'tag', values}, resultTypes: ['violations']})",
            list(AXE_TAGS),
        )
        return [
            (each["id"], [node["html"][:300] for node in each["nodes"]][:3]) for each in found["violations"]
        ]

    def width(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def closed(self) -> int:
        """How many details show nothing but their summary."""
        return int(
            self.page.evaluate(
                "[...document.querySelectorAll('details')]"
                ".filter((one) => ![...one.children].slice(1).some((part) => part.checkVisibility())).length"
            )
        )
