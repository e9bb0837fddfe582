"""Where things are kept: PostgreSQL, or SQLite when alone; artifacts; the register of compositions."""
