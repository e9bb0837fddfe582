"""MCP server that creates and edits educational compositions in EuConquisto Composer."""

__version__ = "0.1.0"
