"""The real server judged by third parties: the protocol's own test suites and clients, and hostile input."""
