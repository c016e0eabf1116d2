"""The processes of an instance: worker, supervisor, reloads, the control plane and its commands."""
