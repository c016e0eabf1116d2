"""nginx configurations as rules: what refuses by a condition, and what limits requests and connections."""
