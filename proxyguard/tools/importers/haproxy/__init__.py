"""HAProxy's ACLs and stick tables as rules."""
