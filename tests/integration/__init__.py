"""The server with real neighbours: PostgreSQL, an issuer, an object store, Chromium."""
