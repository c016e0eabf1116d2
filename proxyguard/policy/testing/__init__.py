"""Runs the tests that rule files carry."""
