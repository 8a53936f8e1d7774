"""The options of Chromium in tests and benchmarks."""

LAN = "lan.test"
"""The domain of this machine's other names: no secure context over http, unlike 127.0.0.1."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--host-resolver-rules=MAP *.{LAN} 127.0.0.1",
)
