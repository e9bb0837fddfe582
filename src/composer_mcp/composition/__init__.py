"""The document: lessons, widgets, changes. Knows nothing of networks or browsers."""
