"""Where requests come from and who they are proven to be: address tables, published ranges, reverse DNS, signatures."""
