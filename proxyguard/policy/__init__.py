"""The rule language: model, conditions, reading YAML, and compiling to indexes."""
