"""A mutation run over the core: mutmut breaks it in thousands of small ways, and what no test notices is listed.

Not part of `make test`. `[tool.mutmut]` in pyproject.toml has the modules and the tests; `equivalent.txt` the mutants that
change nothing, each with its reason. mutmut leaves out functions with decorators (properties) and what runs on import.
"""
