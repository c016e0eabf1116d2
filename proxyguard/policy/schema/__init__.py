"""The JSON Schema of rule files."""
