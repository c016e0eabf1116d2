"""Rule files into the policy model. Every problem of a file is reported, with its place and a hint."""
