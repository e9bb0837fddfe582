"""The third-party application: its API, its editor, every fact about it."""
