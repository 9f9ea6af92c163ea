"""Packets on paper: rules in one form, netfilter, routing and the walk, as the kernel does them."""
