"""Real servers for the integration tests: each starts on a free port of 127.0.0.1 and ends with the session."""
