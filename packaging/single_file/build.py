"""Builds dockerdiag as one file for hosts without internet: `python3.13 packaging/single_file/build.py`.

The file is for the Python that builds it (its minor version, C library and machine), and needs nothing else there: no
pip, no network, no virtual environment. It is a zip archive with the dependencies in it, which Python runs as it is;
nothing is unpacked. Beside it, its SHA-256 is written.
"""

import argparse
import compileall
import hashlib
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
OWN = ("native_modules.py", "sitecustomize.py", "certifi.py")
LEFT_OUT = ("bin", "certifi", "certifi-*", "*/tests", "*/test")
# Faster than their Python, which they have too, but not worth the time to load them.
OPTIONAL_LIBRARIES = ("charset_normalizer/*.so", "markupsafe/*.so", "*__mypyc*.so")
SHEBANG = "#!/usr/bin/env python{version}\n"
# What a file says of when it was made would make two builds of the same sources differ.
EPOCH = (1980, 1, 1, 0, 0, 0)


def version() -> str:
    """This Python's minor version, as `3.13`."""
    return ".".join(platform.python_version_tuple()[:2])


def build(folder: Path, wheel: Path | None) -> Path:
    """Builds the file in `folder`, from a wheel or else from this checkout; returns its path."""
    target = folder / f"dockerdiag-py{version().replace('.', '')}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        stage = Path(temporary, "stage")
        install(stage, wheel or CHECKOUT)
        prune(stage)
        for name in OWN:
            shutil.copy(HERE / name, stage / name)
        start = (HERE / "__main__.py").read_text(encoding="utf-8")
        start = start.replace("@PYTHON@", version()).replace("@MACHINE@", platform.machine())
        (stage / "__main__.py").write_text(start, encoding="utf-8")
        compile_all(stage)
        unfinished = Path(temporary, target.name)
        archive(stage, unfinished)
        shutil.copy(unfinished, target)
    target.chmod(0o755)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    target.with_name(f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n", encoding="ascii")
    return target


def install(stage: Path, product: Path) -> None:
    """The product and what it depends on; native ones as built wheels, never compiled here."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    command += ["--ignore-installed", "--no-warn-conflicts", "--target", str(stage)]
    subprocess.run(
        [*command, "--only-binary", ":all:", "--no-binary", "dockerdiag", str(product)], check=True
    )


def prune(stage: Path) -> None:
    """Takes out what is never asked for."""
    for pattern in (*LEFT_OUT, *OPTIONAL_LIBRARIES):
        for path in stage.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def compile_all(stage: Path) -> None:
    """Bytecode beside each source, which a zip archive is asked for first and which is not compared with it."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    main = stage / "__main__.py"
    for source in sorted(stage.rglob("*.py")):
        # Of the file that is run, another Python must be able to read the source.
        if source != main:
            compileall.compile_file(
                source, stripdir=str(stage), legacy=True, quiet=2, invalidation_mode=unchecked
            )


def archive(stage: Path, target: Path) -> None:
    """The archive behind a line that says which Python runs it."""
    with target.open("wb") as file:
        file.write(SHEBANG.format(version=version()).encode())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(stage.rglob("*")):
                if path.is_file() and path.suffix != ".pyi":
                    entry = zipfile.ZipInfo(path.relative_to(stage).as_posix(), EPOCH)
                    entry.external_attr = 0o644 << 16
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    packed.writestr(entry, path.read_bytes())


def main() -> None:
    """Builds, and prints where the file is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=CHECKOUT / "dist", metavar="FOLDER")
    parser.add_argument("--wheel", type=Path, help="instead of this checkout")
    options = parser.parse_args()
    os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")
    print(build(options.to, options.wheel))


if __name__ == "__main__":
    main()
