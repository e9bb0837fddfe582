"""Real servers for the tests: each listens on a free port of 127.0.0.1 and ends with the session."""
