"""The job engine: requests (what is asked), engine and worker (queue and guard), handlers (the work)."""
