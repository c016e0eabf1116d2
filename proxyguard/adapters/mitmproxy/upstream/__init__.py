"""Connections to upstreams: the pool, leases, and what a request sends on one."""
