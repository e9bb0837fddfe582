"""The server alone on this machine, against the stand-in for Composer; run it with ``make demo``."""
