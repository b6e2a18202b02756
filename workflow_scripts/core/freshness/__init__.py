"""How Canaryflow decides what to run: by content, never by time.

    content    MD5 of files and folders (the ones that DVC uses), remembered by size, times and inode; whole writes
    code       which of our modules a script imports, directly or through others
    receipts   what made an artifact, in one JSON file beside the results: inputs, code, params, config, MD5 of everything
    record     in a job: one runner at a time, and the receipt written last
    plan       the jobs as the rules declare them, each receipt held against the tree, and what differs in words
    takeover   what another run has already made, copied with its receipt
    reconcile  in the Snakefile: what differs becomes stale for Snakemake, which does the rest
    storage    dvc.yaml, written from the same rules

An edit of these modules, or of core/job.py, re-runs nothing: they decide when a stage runs, not what it computes.
"""
