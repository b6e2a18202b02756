"""One module per figure. `plot` takes rows of the tables and returns a matplotlib Figure; style.save writes it."""
