"""The robots.txt of each site, read in the background and held to requests."""
