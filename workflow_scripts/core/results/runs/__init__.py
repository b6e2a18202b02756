"""Several finished runs side by side: read them, pair their policies, and write one page."""
