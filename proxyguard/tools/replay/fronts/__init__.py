"""Fronts: what container runtimes and syslog write in front of each line of a log, whatever the log's format.

A row each in `registry`. A front takes itself off a line and gives what the server wrote.
"""
