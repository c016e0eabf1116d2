"""The operator's side of a running instance: health, metrics, and the commands that act on it."""
