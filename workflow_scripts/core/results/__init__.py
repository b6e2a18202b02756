"""From probe rows to tables, figures and pages, in layers. A layer imports those above it in this list and none below it.

tables    numbers: one module per table, each with its schema, and the statistics behind them
cohorts   how the cohorts look and what pages call them
text      words made from numbers: formats, verdicts, sentences
figures   one module per figure; of `text` they use only the formats
pages     the report and the summary of a run
runs      several finished runs side by side
"""
