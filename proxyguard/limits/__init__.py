"""Limits: what is counted, per which key, how fast; the arithmetic, and the stores that hold the counts."""
