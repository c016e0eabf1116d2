"""Other firewalls under the same traffic: those that stand in front of the site, on the wire; those that read its log, by replay.

Configurations are what their makers or their users recommend, in `config/`; each says where it is from. Nothing is installed: a
peer that is not here is named.
"""
