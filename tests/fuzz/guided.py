"""Inputs chosen by the code that they reach: `python -m tests.fuzz.guided TARGET [SECONDS]`, where atheris is installed.

What reached new code is kept in tests/fuzz/corpus, one archive a target, the smallest inputs first; the next run begins
with them, and every test run tries them.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
LARGEST = 4096
"""Bytes of an input: larger ones reach no more."""
KEPT = 60_000
"""Bytes of a target's inputs that are kept, the smallest first."""
_WHEN = (1980, 1, 1, 0, 0, 0)
_CHILD = "--child"


def kept(name: str) -> Iterator[bytes]:
    """The inputs of a target's archive."""
    path = CORPUS / f"{name}.zip"
    if path.exists():
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield archive.read(member)


def keep(name: str, inputs: list[bytes]) -> None:
    """Makes the archive anew; the same inputs give the same bytes."""
    CORPUS.mkdir(exist_ok=True)
    size = 0
    with zipfile.ZipFile(CORPUS / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(sorted(set(inputs), key=lambda one: (len(one), one))):
            size += len(data)
            if size > KEPT:
                break
            archive.writestr(zipfile.ZipInfo(f"{number:04}", _WHEN), data, zipfile.ZIP_DEFLATED)


def _fuzz(name: str, arguments: list[str]) -> None:
    """libFuzzer on one target; ends the process."""
    import atheris  # noqa: PLC0415 - optional, and for few versions of Python

    with atheris.instrument_imports(include=["dockerdiag"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name].attempt)
    atheris.Fuzz()


def run(name: str, seconds: str) -> int:
    """Fuzzes from the seeds and what was kept, then keeps what reaches new code; returns the exit code."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the child imports it instrumented

    child = [sys.executable, "-m", "tests.fuzz.guided", _CHILD, name]
    with tempfile.TemporaryDirectory() as folder:
        corpus, broken = Path(folder, "corpus"), Path(folder, "broken")
        for path in (corpus, broken):
            path.mkdir()
        for number, data in enumerate((*TARGETS[name].seeds(), *kept(name))):
            (corpus / str(number)).write_bytes(data)
        limits = [f"-max_total_time={seconds}", f"-max_len={LARGEST}", "-timeout=10", "-print_final_stats=1"]
        done = subprocess.run([*child, *limits, f"-artifact_prefix={broken}/", str(corpus)], check=False)
        for path in broken.iterdir():
            print(f"broken by {path.read_bytes()!r}")
        if done.returncode == 0:
            # libFuzzer adds each input that reaches new code, and calls it by its hash.
            reached = [path.read_bytes() for path in corpus.iterdir() if not path.name.isdecimal()]
            keep(name, [*kept(name), *reached])
    return done.returncode


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[0] == _CHILD:
        _fuzz(arguments[1], arguments[2:])
    return run(arguments[0], arguments[1] if len(arguments) > 1 else "300")


if __name__ == "__main__":
    sys.exit(main())
