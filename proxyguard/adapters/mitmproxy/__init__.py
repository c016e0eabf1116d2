"""The front on mitmproxy's proxy core: its layers and TLS, our connection driver, HTTP layers, upstream pool and tarpits."""
