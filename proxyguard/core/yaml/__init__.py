"""YAML read into nodes that know their place; every value that is wrong becomes a problem with line and column."""
