"""Predictions compared with what the kernel does to real packets, in network namespaces."""
