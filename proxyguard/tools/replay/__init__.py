"""Replay: rule sets run over access logs in virtual time, with the engine that decides live.

Reads logs, decides about every line as the proxy would have, and sums up who would have been stopped by which rule. Sends
nothing, acts on nothing, and keeps no more of a log than tables of bounded size.
"""
