"""How long parsing and walking take on a large host. They report, and assert nothing."""
