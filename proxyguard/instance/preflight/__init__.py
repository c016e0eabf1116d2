"""What would go wrong with an instance of these settings, found before it starts: a module for each kind, a table of all."""
