"""The settings store, settings.db: what was made in the console, who may use it, and who changed what."""
