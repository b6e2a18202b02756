"""How Canaryflow decides what to run: by content, never by time.

    content            MD5 of files and folders (as DVC computes them), remembered by size, times and inode; atomic writes
    code               which of our modules a script imports, directly or through others, and a digest of what each one does
    receipts           what made an artifact: inputs, code, params, config, MD5 of everything
    ledger             the receipts of a run in one file, which git keeps
    record             in a job: one runner at a time, nothing done twice, and the receipt written last
    plan               the jobs as the rules declare them, each receipt compared with the tree, and every difference in words
    takeover           what another run has already made, copied with its receipt
    reconcile          in the Snakefile: what differs becomes stale for Snakemake, which does the rest
    storage            dvc.yaml, written from the same rules
    snakemake_adapter  the only module that touches private parts of Snakemake

Editing these modules, core/job.py or core/methods.py re-runs nothing: they decide when a stage runs and with which settings, and
its receipt records both.
"""
