"""What the configuration on a host says, judged on paper: systemd units, dockerd's flags and file, sysctl.d.

Pure functions over parts of a snapshot; nothing here reads the host.
"""
