"""Chromium: started, leased, watched, replaced. Knows nothing of Composer."""
