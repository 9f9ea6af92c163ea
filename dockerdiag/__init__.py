"""Says why a Docker container cannot reach the internet.

The host is read into a `dockerdiag.snapshot`, packets are walked through it on paper (`dockerdiag.packet`),
checks judge it, and formats render the `dockerdiag.report`.
"""
