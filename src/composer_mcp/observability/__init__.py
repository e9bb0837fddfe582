"""Log lines, metrics, health. Nothing here decides anything."""
