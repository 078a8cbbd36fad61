"""Numbers in sentences, in the one way that reports and verdicts write them."""


def count(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 request` or `2,000 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
