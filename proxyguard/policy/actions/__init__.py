"""Actions: one module and one row each, and the registry that parser, schema, tests, compiler, lint, explain and replay read."""
