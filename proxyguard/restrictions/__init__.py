"""Temporary restrictions: when they start and end, what they touch, and what operators order of them."""
