"""One module per table: SCHEMA, the COLUMNS of the probe rows that it reads, and `summarize`, the pure function that makes its rows.

How to add one: docs/extending.md.

    columns, files, registry               groups of columns; tables as files; all tables by name
    canary_pairs                           each canary in the arm that saw it, beside the arm that did not
    stratified                             means and rates over canaries and seeds: the intervals of almost every table
    statistics, resampling, distributions  other intervals and tests: exact ones, the bootstrap, and the functions behind both
    auc, power, comparability, pareto      what single tables need
    metrics                                single numbers for tools that compare runs

A script that only reads a table needs its SCHEMA alone, so no module here loads pandas or scipy when it is imported.
"""
