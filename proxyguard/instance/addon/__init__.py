"""An instance inside of a plain mitmproxy: its options, its rules, and the script that mitmproxy is given."""
