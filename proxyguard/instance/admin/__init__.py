"""The admin port's dashboard and its JSON API, version 1: a face of the commands that the control socket takes, no more."""
