"""The durable job: what may be asked (requests), engines, attempts and workers; handlers do the work."""
