"""Numbers as people read them: the same words in the figures, the headline table and the report. Missing is a dash, never 0."""

MISSING = "–"


def percent(share: float | None) -> str:
    """0.781 -> "78 %"; what is close to 0 or 1 without being it keeps a decimal, so that "0 %" means none and "100 %" all."""
    return MISSING if share is None else f"{_digits(share)} %"


def interval(low: float | None, high: float | None) -> str:
    """(0.6, 0.91) -> "60–91 %"."""
    return MISSING if low is None or high is None else f"{_digits(low)}–{_digits(high)} %"


def _digits(share: float) -> str:
    if not (0 < share < 0.01 or 0.99 < share < 1):
        return f"{100 * share:.0f}"
    text = f"{100 * share:.1f}"
    return {"0.0": "< 0.1", "100.0": "> 99.9", "1.0": "1", "99.0": "99"}.get(text, text)


def number(value: float | None, decimals: int = 2) -> str:
    """3.14159 -> "3.14"."""
    return MISSING if value is None else f"{value:,.{decimals}f}"


def p_value(p: float) -> str:
    """0.0312 -> "0.031"; below 0.001 only that it is."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def short(value: float | None) -> str:
    """A large count in three digits: 3712345 -> "3.7 M"."""
    if value is None:
        return MISSING
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as "42 s", "12 min" or "3.2 h"."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def rate(row: dict, prefix: str = "") -> tuple[str, str]:
    """A rate of a row, and its count and interval: ("78 %", "25/32, 60–91 %")."""
    span = interval(row[f"{prefix}low"], row[f"{prefix}high"])
    return percent(row[f"{prefix}rate"]), f"{row[f'{prefix}hits']}/{row['n']}, {span}"
