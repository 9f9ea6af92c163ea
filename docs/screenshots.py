"""Writes report-light.png and report-dark.png, which show the demo's HTML report, into this folder.

It needs Debian's chromium and Playwright for Python (pip install -e '.[dev]').
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

import dockerdiag
from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.formatting import RenderOptions
from dockerdiag.registry import checks
from dockerdiag.snapshot.store import load
from dockerdiag_reports.html import FORMAT

HERE = Path(__file__).parent
SIZE = {"width": 1200, "height": 850}
LARGEST = 200_000
"""Bytes of a picture that the repository takes."""


def demo_page() -> str:
    """The HTML report on the snapshot that `dockerdiag demo` shows."""
    snapshot = load(Path(dockerdiag.__file__).with_name("demo.json.gz"))
    report = diagnose(snapshot, Asked.parse(), *checks())
    return FORMAT.render(report, RenderOptions(verbose=True))


def main() -> int:
    """Opens the page in both colour schemes; returns the exit code."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    page_text = demo_page()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            context = browser.new_context(offline=True, viewport=SIZE, color_scheme=scheme)
            page = context.new_page()
            page.set_content(page_text)
            page.screenshot(path=HERE / f"report-{scheme}.png")
            context.close()
        browser.close()
    large = [path.name for path in HERE.glob("report-*.png") if path.stat().st_size > LARGEST]
    print("\n".join(f"too large: {name}" for name in large) or "docs/report-light.png, docs/report-dark.png")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
