"""The legitimate cohorts: people and programs that a firewall must leave alone. One module each; `registry` lists them."""
