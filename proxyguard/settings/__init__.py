"""Reads proxyguard.yaml and PROXYGUARD_* into the values of core.settings; its table is also schema and reference."""
