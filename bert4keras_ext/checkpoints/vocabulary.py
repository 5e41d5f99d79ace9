"""keep_tokens and compound_tokens: a smaller or a larger vocabulary out of a checkpoint's table."""

import numpy as np

from bert4keras_ext.checkpoints.reader import CheckpointError


class VocabularyEdit:
    """What has to be done to a checkpoint's vocabulary weight of so many rows.

    First the rows `keep_tokens` are selected, then an average row is appended for each of
    `compound_tokens`, whose ids count in the selected vocabulary. A table that is as large as the
    model's own although the selection would need a larger one has been through this before (it
    was saved after keep_tokens): it is taken as it is, and `note` says so.

    Args:
        rows: how many rows the checkpoint's weight has along its vocabulary axis.
        expected_rows: how many the model's has.
        keep_tokens: list of ids to keep, or None.
        compound_tokens: list with an entry for each new token, either a list of ids or a pair
            (ids, weights); or None.
        name: the weight's name, for messages.

    Raises:
        CheckpointError: if an id is none of the rows it selects from.

    Example:

    >>> import numpy
    >>> from bert4keras_ext.checkpoints.vocabulary import VocabularyEdit
    >>> edit = VocabularyEdit(5, 4, keep_tokens=[0, 2, 4], compound_tokens=[[1, 2]])
    >>> edit.apply(numpy.arange(5.0), axis=0)
    array([0., 2., 4., 3.])
    """

    def __init__(
        self, rows, expected_rows, keep_tokens=None, compound_tokens=None, name="embeddings"
    ):
        self.keep = None if keep_tokens is None else np.asarray(keep_tokens, dtype=np.int64)
        self.compound = [_ids_and_weights(item) for item in compound_tokens or []]
        self.note = None
        self.name = name
        self._skip_what_is_done(rows, expected_rows)
        self.rows = self._check(rows)

    def apply(self, array, axis):
        """Returns the edited weight. Averages are computed in float32 at least."""
        if self.keep is not None:
            array = np.take(array, self.keep, axis=axis)
        if not self.compound:
            return array
        array = array.astype(np.promote_types(np.float32, array.dtype), copy=False)
        rows = [
            np.average(np.take(array, ids, axis=axis), axis=axis, weights=weights)
            for ids, weights in self.compound
        ]
        added = np.stack(rows, axis=axis).astype(array.dtype)
        return np.concatenate([array, added], axis=axis)

    def _skip_what_is_done(self, rows, expected_rows):
        if self.keep is None:
            # Fewer rows are expected in the file than in the model, by the number of new tokens.
            if self.compound and rows == expected_rows:
                self.note = f"{self.name}: compound_tokens are already in this table of {rows} rows"
                self.compound = []
        elif len(self.keep) and self.keep.max() >= rows:
            kept = len(self.keep)
            if rows == kept + len(self.compound):
                self.compound, self.keep = [], None
            elif rows == kept:
                self.keep = None
            if self.keep is None:
                self.note = (
                    f"{self.name}: this table of {rows} rows has already been trimmed "
                    "to keep_tokens, so it is taken as it is"
                )

    def _check(self, rows):
        if self.keep is not None:
            self._check_ids("keep_tokens", self.keep, rows)
            rows = len(self.keep)
        for ids, _ in self.compound:
            self._check_ids("compound_tokens", ids, rows)
        return rows + len(self.compound)

    def _check_ids(self, what, ids, rows):
        if len(ids) and (ids.min() < 0 or ids.max() >= rows):
            raise CheckpointError(
                f"{what} for {self.name}: expected ids from 0 to {rows - 1}, "
                f"since the table has {rows} rows, found {ids.min()} to {ids.max()}. "
                "Either the ids belong to another vocabulary, or the table has been trimmed "
                "before with other tokens."
            )


def _ids_and_weights(item):
    """[3, 4] -> ids alone; ([3, 4], [1, 2]) -> ids and weights (in JSON the pair is a list)."""
    weights = None
    if len(item) == 2 and all(np.ndim(part) == 1 for part in item):
        item, weights = item
    ids = np.asarray(item, dtype=np.int64)
    weights = np.ones(len(ids)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(ids) or len(ids) != len(weights) or not weights.sum():
        raise CheckpointError(
            "compound_tokens: expected lists of ids or pairs (ids, weights) of equal length "
            f"whose weights do not sum to zero, found {item!r} with weights {weights.tolist()}."
        )
    return ids, weights
