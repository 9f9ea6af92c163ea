"""What a Python runs first that dockerdiag starts with its one file in PYTHONPATH."""

import native_modules

native_modules.install()
