"""How long a row is, and how long it should become."""


def bucket_length(length, multiple=32, buckets=None, maxlen=None):
    """The length to pad `length` to, so that few different lengths occur.

    XLA compiles a model once for every shape it meets, which takes seconds each time: lengths
    are rounded up to one of a few.

    Args:
        length: the longest row of a batch.
        multiple: rounds up to a multiple of this; `None` or 1 leaves lengths alone.
        buckets: the allowed lengths, instead of `multiple`: the smallest that is long enough.
        maxlen: upper limit of the result; longer rows are going to be cut.

    Raises:
        ValueError: `length` is above the last bucket and there is no `maxlen`, or no bucket at all.

    Example:

    >>> bucket_length(33), bucket_length(100, maxlen=128), bucket_length(130, maxlen=140)
    (64, 128, 140)
    >>> bucket_length(33, buckets=[16, 48, 128])
    48
    """
    limit = maxlen if maxlen is not None else float("inf")
    if buckets is not None:
        if not len(buckets):
            raise ValueError("expected at least one bucket, received none; fix: multiple=32")
        result = min((bucket for bucket in buckets if bucket >= length), default=maxlen)
        if result is None:
            raise ValueError(
                f"expected a length of at most {max(buckets)}, the last bucket, received "
                f"{length}; fix: a larger bucket, or maxlen="
            )
    else:
        step = multiple or 1
        # Never zero: a batch of empty rows must still be an array a model can take.
        result = max(-(-length // step) * step, step)
    return min(result, limit)


def text_length(item):
    """How long an item of a data set is: the characters of all texts in it.

    Items without a text count the elements of their sequences (ids), and a plain list of numbers
    its own elements.

    >>> text_length("四个汉字"), text_length(("两字", "三个字", 1)), text_length(([101, 5, 102], 0))
    (4, 5, 3)
    """
    if isinstance(item, dict):
        item = list(item.values())
    if not isinstance(item, (list, tuple)):
        return len(item)
    texts = [part for part in item if isinstance(part, str)]
    parts = texts or [part for part in item if hasattr(part, "__len__")]
    return sum(map(len, parts)) if parts else len(item)
