"""The live debugger: what arrived lately and what became of it, in memory only; nothing is decided from it."""
