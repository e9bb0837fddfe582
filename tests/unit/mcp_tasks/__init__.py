"""The tasks extension, without a database."""
