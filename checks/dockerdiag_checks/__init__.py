"""The checks that come with dockerdiag: one file a check, found by entry points."""
