"""Finished runs: read them, pair the policies of several, and write pages: one of several side by side, and what git keeps of each."""
