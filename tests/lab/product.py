"""The product as its users get it: a wheel of the checkout, in a thin layer over a root's dependencies."""

import functools
import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

from tests.lab.cache import build_once, recipe_key
from tests.lab.roots import CHECKOUT, VENV, in_layer, layers, progress, run_quietly

KEPT = 30
"""Builds in the cache: several checkouts may share it, and hosts of an older one still run."""
SOURCES = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "packaging/compile_templates.py",
    "dockerdiag",
    "checks",
    "reports",
)


@functools.cache  # the same product to the end of the tests, whatever is edited meanwhile
def layers_with_product(suite: str) -> tuple[Path, ...]:
    below = layers(suite)
    if not (CHECKOUT / "pyproject.toml").is_file():
        progress("this checkout has no pyproject.toml: the host boots without the product")
        return below
    sources = hash_of_sources()
    wheel = build_once("wheel", sources, build_wheel, keep=KEPT)

    def install(folder: Path) -> None:
        install_wheel(next(wheel.glob("*.whl")), below, folder)

    layer = build_once(f"product-{suite}", recipe_key(below[0].parent.name, sources), install, keep=KEPT)
    return layer / "upper", *below


def hash_of_sources() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        path = CHECKOUT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(CHECKOUT)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def build_wheel(folder: Path) -> None:
    progress("building the product's wheel")
    options = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *options)
    run_quietly(*command, "--wheel-dir", str(folder), str(CHECKOUT))


def install_wheel(wheel: Path, below: tuple[Path, ...], folder: Path) -> None:
    upper = folder / "upper"
    parcel = upper / "opt/wheel"
    parcel.mkdir(parents=True)
    shutil.copy(wheel, parcel)
    packed = f"/opt/wheel/{wheel.name}"
    in_layer(upper, below, f"{VENV}/bin/pip", "install", "--quiet", "--no-deps", "--no-index", packed)
    in_layer(upper, below, "ln", "--symbolic", f"{VENV}/bin/dockerdiag", "/usr/local/bin/dockerdiag")
    shutil.rmtree(parcel)
    shutil.rmtree(folder / "work", ignore_errors=True)
