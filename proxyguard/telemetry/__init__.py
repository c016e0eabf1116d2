"""What proxyguard tells its operators: the audit log and the metrics."""
