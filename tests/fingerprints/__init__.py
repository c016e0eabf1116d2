"""Real clients through the real front over TLS: what each shows of itself. `make fingerprints` records; see __main__."""
