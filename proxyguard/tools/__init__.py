"""What operators run beside the firewall: replay, lints, importers, scaffolding, a sample site."""
