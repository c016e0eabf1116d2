"""robots.txt (RFC 9309): what a site asks robots to leave alone."""
