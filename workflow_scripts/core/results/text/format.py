"""Numbers as people read them, the same in figures, tables and sentences. Missing is a dash, never 0."""

MISSING = "–"
NOT_KNOWN = "not known"  # what is there, and nobody has counted


def percent(share: float | None) -> str:
    """0.781 -> "78 %"; what is close to 0 or 1 without being it keeps a decimal, so that "0 %" means none and "100 %" all."""
    return MISSING if share is None else f"{_percent_digits(share)} %"


def interval(low: float | None, high: float | None) -> str:
    """(0.6, 0.91) -> "60–91 %"."""
    return MISSING if low is None or high is None else f"{_percent_digits(low)}–{_percent_digits(high)} %"


def _percent_digits(share: float) -> str:
    if not (0 < share < 0.01 or 0.99 < share < 1):
        return f"{100 * share:.0f}"
    text = f"{100 * share:.1f}"
    return {"0.0": "< 0.1", "100.0": "> 99.9", "1.0": "1", "99.0": "99"}.get(text, text)


def rate_and_count(row: dict, prefix: str = "") -> tuple[str, str]:
    """A rate of a row, and its count and interval: ("78 %", "25/32, 60–91 %")."""
    ends = interval(row[f"{prefix}low"], row[f"{prefix}high"])
    return percent(row[f"{prefix}rate"]), f"{row[f'{prefix}hits']}/{row['n']}, {ends}"


def count(row: dict, prefix: str = "", *, noun: str = "") -> str:
    """A count of a row and its interval: "25 of 32 (60–91 %)"; with a noun "25 of 32 secrets (60–91 %)"."""
    things = f"{row['n']} {noun}".rstrip()
    return f"{row[f'{prefix}hits']} of {things} ({interval(row[f'{prefix}low'], row[f'{prefix}high'])})"


def share(row: dict, prefix: str = "", *, level: str = "") -> str:
    """A count of a row with its rate and interval: "25 of 32 (78 %, 60–91 %)"; `level` names the interval: "95 % interval "."""
    hits, n = row[f"{prefix}hits"], row["n"]
    rate = f"{percent(row[f'{prefix}rate'])}, " if 0 < hits < n else ""
    return f"{hits} of {n} ({rate}{level}{interval(row[f'{prefix}low'], row[f'{prefix}high'])})"


def number(value: float | None, decimals: int = 2) -> str:
    """3.14159 -> "3.14"; with a true minus."""
    return MISSING if value is None else f"{value:,.{decimals}f}".replace("-", "−")


def signed(value: float | None, decimals: int = 2) -> str:
    """A difference with its sign: 0.5 -> "+0.50"."""
    return MISSING if value is None else ("+" if value > 0 else "") + number(value, decimals)


def number_interval(row: dict, name: str, decimals: int = 2, joint: str = "–") -> str:
    """The interval of a number of a row: "2.10–3.40"; where numbers may be negative, `joint` is " to "."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return MISSING if low is None or high is None else f"{number(low, decimals)}{joint}{number(high, decimals)}"


def signed_interval(row: dict, name: str, decimals: int = 2) -> str:
    """The interval of a difference of a row: "+0.60 to +1.10"."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return MISSING if low is None or high is None else f"{signed(low, decimals)} to {signed(high, decimals)}"


def points(value: float, *, sign: bool = True, unit: str = " points") -> str:
    """A difference of shares in percentage points: 0.52 -> "+52 points"; what is close to 0 keeps a decimal."""
    size = abs(100 * value)
    text = "over 100" if size > 100 else f"{size:.1f}" if 0 < size < 1 else f"{size:.0f}"
    unit = " point" if unit == " points" and text == "1" else unit
    return ("" if not sign or not value else "+" if value > 0 else "−") + text + unit


def points_interval(row: dict, name: str = "difference") -> str:
    """The interval of a difference of shares, in percentage points: "+3 to +17"."""
    return " to ".join(points(row[f"{name}_{end}"], unit="") for end in ("low", "high"))


def points_with_interval(row: dict) -> str:
    """The difference of a row of shares with its interval: "+9 points (+3 to +17)"."""
    return f"{points(row['difference'])} ({points_interval(row)})"


def p_value(p: float) -> str:
    """0.0312 -> "0.031"; below 0.001 only that it is."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equals(p: float) -> str:
    """0.0312 -> "p = 0.031"; "p < 0.001"."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def abbreviated(value: float | None) -> str:
    """A large count in few digits: 3712345 -> "3.7 M"."""
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


def level(confidence: float) -> str:
    """0.95 -> "95 %"."""
    return f"{100 * confidence:g} %"


def enumeration(parts: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def method_in_words(row: dict) -> str:
    """The method of a policy, and what it was trained on where that is not the method's own data."""
    return row["method"] + {"preference": " on pairs", "clean": " on clean code"}.get(row["data"], "")


def grid(rows: list[list[str]]) -> str:
    """A table in Markdown, its heads first."""
    heads, *others = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in [heads, ["---"] * len(heads), *others])


def put_between(marks: tuple[str, str], text: str, new: str) -> str:
    """The text with what stands between the marks exchanged; as it is where it lacks one of them."""
    begin, end = marks
    if begin not in text or end not in text:
        return text
    return text.split(begin)[0] + begin + new + end + text.split(end)[1]
