"""What an operator asks at night, answered from a running instance, its audit log, or the log alone.

`audit_facts` reads the log, `build` makes the answers, `advice` the commands, `text` and `html` show them. Knows nothing of
sockets and terminals.
"""
