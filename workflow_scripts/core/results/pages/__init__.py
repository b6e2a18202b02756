"""The pages of one run: report.html and summary.md, and the views that both are made of."""
