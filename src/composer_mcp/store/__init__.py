"""PostgreSQL and the object store: connections, schema, artifacts. No rules of the trade."""
