"""What carries traffic to and from the guard."""
