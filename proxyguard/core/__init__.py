"""Values that every part uses: request, decision, addresses, settings, problems, YAML with places. No I/O, no clock."""
