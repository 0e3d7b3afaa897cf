"""The commands, one a file: read options, call one function, print. A command imports what it needs when it runs."""
