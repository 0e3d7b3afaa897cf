"""signalpost.toml and SIGNALPOST_* become one frozen Config."""
