"""A progress bar for work that takes long enough to wonder."""

from tqdm import tqdm

PATIENCE = 2.0  # seconds of work before an automatic bar shows


def with_progress(rows, progress, description, unit=" rows"):
    """Iterates over rows and shows how far it has come.

    Args:
        rows: sized iterable.
        progress: `True`, `False`, or `None`: only if the work takes more than two seconds.
        description: what stands before the bar.
        unit: what is counted.
    """
    if progress is False:
        return iter(rows)
    delay = PATIENCE if progress is None else 0
    return iter(tqdm(rows, desc=description, unit=unit, delay=delay))
