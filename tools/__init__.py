"""Programs that serve the project's development: test runner, bundle, artifacts, locks, reference."""
