"""How long parsing, walking and whole runs take. They report, and assert nothing."""
