"""A mutation run over the core: mutmut breaks it in thousands of small ways, and what no test notices is listed.

Not part of `make test`. `AREAS` in `__main__` has the modules and their tests; `equivalent.txt` the mutants that change nothing,
each with its reason. mutmut leaves out functions with decorators (properties) and what runs on import.
"""
