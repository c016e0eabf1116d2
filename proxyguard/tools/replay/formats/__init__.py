"""The formats of access logs that a replay reads: a row each in `registry`, a module for each kind.

A format is made from the first lines of a log, because some say there which fields they have, and reads one line at a time.
"""
