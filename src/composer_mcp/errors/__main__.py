"""python -m composer_mcp.errors: prints the table."""

from composer_mcp.errors import table

print(table())
