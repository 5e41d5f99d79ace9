"""Patterns that choose weights by their paths: 'Norm', 'bias', 'Transformer-3'."""

import difflib
import re
import warnings


def as_patterns(keyword, patterns):
    """A list of regular expressions as the user gave it; one string is one pattern.

    Raises:
        ValueError: something else, or no valid regular expression.
    """
    patterns = [patterns] if isinstance(patterns, str) else (patterns or [])
    if not isinstance(patterns, (list, tuple, set)):
        raise ValueError(f"expected a list of patterns as {keyword}, received {patterns!r}")
    patterns = list(patterns)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ValueError(f"expected strings in {keyword}, received {pattern!r}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"expected a regular expression in {keyword}, received {pattern!r} ({error})"
            ) from None
    return patterns


def which_match(patterns, path):
    """Those patterns that are found in the path, as in bert4keras with or without its ':0'."""
    return [p for p in patterns if re.search(p, path) or re.search(p, f"{path}:0")]


def warn_of_unmatched(keyword, patterns, paths):
    """A pattern that chooses nothing is most often misspelt: says so, with the nearest paths."""
    for pattern in patterns:
        if paths and not any(which_match([pattern], path) for path in paths):
            warnings.warn(
                f"{keyword}: {pattern!r} is found in no weight's path; the nearest are "
                + ", ".join(repr(path) for path in nearest(pattern, paths)),
                stacklevel=2,
            )


def nearest(pattern, paths, count=3):
    """The paths with the part most like the pattern, letter case aside."""

    def likeness(path):
        parts = {path, *re.split(r"[/\-_:]", path), *path.split("/")}
        ratios = (difflib.SequenceMatcher(None, pattern.lower(), p.lower()).ratio() for p in parts)
        return max(ratios)

    return sorted(paths, key=likeness, reverse=True)[:count]
