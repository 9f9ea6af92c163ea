"""Has the wheel carry its templates compiled, as hatchling asks for when it builds one."""

import runpy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "dockerdiag_reports/compiled"
MARKUP = (".html.j2", ".svg.j2")


class CompileTemplates(BuildHookInterface):  # type: ignore[misc]  # hatchling is there when a wheel is built, only
    """One module for each template; an editable installation compiles its templates when it uses them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Writes the modules where hatchling takes them from."""
        if version == "editable":
            return
        package = Path(self.root, "reports/dockerdiag_reports")
        # By its path, for nothing of the project is installed yet.
        templating = runpy.run_path(str(package / "templating.py"))
        self.folder = TemporaryDirectory()
        for path in package.glob("templates/*.j2"):
            code = templating["compiled"](
                path.name, path.read_text("utf-8"), markup=path.name.endswith(MARKUP)
            )
            module = Path(self.folder.name, f"{templating['module_of'](path.name)}.py")
            module.write_text(code, encoding="utf-8")
            build_data["force_include"][str(module)] = f"{FOLDER}/{module.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clears away."""
        if version != "editable":
            self.folder.cleanup()
