"""`python -m tests.fuzz.guided TARGET [SECONDS]`: inputs chosen by the code that they reach, where atheris is installed."""

import sys
import tempfile
from pathlib import Path

FOUND_IN = "dockerdiag"


def main() -> int:
    try:
        import atheris  # noqa: PLC0415 - optional, and for few versions of Python
    except ImportError:
        print("skipped: atheris is not installed")
        return 0
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "300"
    with atheris.instrument_imports(include=[FOUND_IN]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds()):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-max_len=65536", "-timeout=10", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, corpus], target.attempt)
        atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
