"""Scaffolding: the commented files that an operator begins with, and new rules written from three answers."""
