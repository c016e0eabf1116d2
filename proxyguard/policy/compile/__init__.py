"""The policy model into what a request is matched with: facts, indexes, keys."""
