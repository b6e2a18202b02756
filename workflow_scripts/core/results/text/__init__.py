"""Words made from numbers: their formats, the verdicts on the findings, and the sentences of the pages."""
