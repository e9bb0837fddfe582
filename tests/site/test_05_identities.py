"""Each host and each purpose has an identity of its own, and it opens nothing else."""
