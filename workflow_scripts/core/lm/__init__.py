"""Causal language models: checked and loaded, adapted, read in rows without padding, and made to complete prompts."""
