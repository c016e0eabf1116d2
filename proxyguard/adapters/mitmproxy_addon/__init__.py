"""The guard on the hooks of a plain mitmproxy (mitmdump, mitmweb), with its public interface alone."""
