"""The fields that conditions and limit keys can name: one row each, with how its values are found in a request."""
