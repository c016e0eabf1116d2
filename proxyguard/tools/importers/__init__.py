"""Import: rule files made from what operators already have, with a note on each thing that could not be carried over.

Every importer reads one kind of file into a `Draft`; writing, checking and testing the outcome is the same for all.
"""
