"""``python -m composer_mcp``: the same as the command ``composer-mcp``."""

from composer_mcp.cli import main

if __name__ == "__main__":
    main()
