"""Requests as people paste them: a curl command copied from a browser's developer tools or from a shell."""
