"""Quantiles and probabilities of the distributions behind the intervals and tests, by scipy.special.

scipy.stats gives the same quantiles and takes half a second longer to import.
"""

from functools import cache


@cache
def _special():
    """scipy.special, loaded at the first call: whoever only reads a table's schema does not wait for it."""
    from scipy import special

    return special


def normal_probability(z):
    """P(Z <= z) of the standard normal distribution; z of any shape, as all arguments here."""
    return _special().ndtr(z)


def normal_quantile(probability):
    """The value that the standard normal distribution stays below with `probability`."""
    return _special().ndtri(probability)


def t_quantile(probability, degrees):
    """The value that Student's t with `degrees` of freedom stays below with `probability`."""
    return _special().stdtrit(degrees, probability)


def f_tail(f, between, within):
    """P(F >= f) of the F distribution with `between` and `within` degrees of freedom."""
    return _special().fdtrc(between, within, f)


def beta_quantile(probability, a, b):
    """The value that Beta(a, b) stays below with `probability`."""
    return _special().betaincinv(a, b, probability)


def coin_tail(most, n):
    """P(at most `most` heads in n tosses of a fair coin)."""
    return _special().betainc(n - most, most + 1, 0.5)
