"""The control API on the instance's socket: its server, its client, and what its commands do."""
