"""Which declared bots there are, by their user agents."""
