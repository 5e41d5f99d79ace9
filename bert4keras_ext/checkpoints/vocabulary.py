"""keep_tokens and compound_tokens: a smaller or a larger vocabulary out of a checkpoint's table."""

import numpy as np

from bert4keras_ext.checkpoints.reader import CheckpointError

CHUNK = 1024  # new tokens averaged at a time


class VocabularyEdit:
    """What has to be done to a checkpoint's vocabulary weight of so many rows.

    First the rows `keep_tokens` are selected, in this order; an id may come more than once. Then
    rows that are averages of others join them, `compound_tokens` in one of two forms:

    - a list, as in bert4keras: an entry for each new token. The ids in it count in the *selected*
      vocabulary, and the new rows come after the selected ones.
    - a dict {new id: entry}: the ids in the entries count in the *checkpoint's* vocabulary, and the
      new rows stand where the dict says; the selected ones fill the other places in their order.
      So any vocabulary can be made from any other, each token under its own id.

    An entry is a list of ids or a pair (ids, weights).

    A table that is as large as the model's own although the selection would need a larger one has
    been through this before (it was saved after keep_tokens): it is taken as it is, and `note`
    says so. Where the ids fit such a table as well, `original_rows` decides: a table as large as
    the edited one, and not as the original, was saved after the edit. Where these two sizes are
    the same it is taken for the original, and `note` says that it may not be.

    Args:
        rows: how many rows the checkpoint's weight has along its vocabulary axis.
        expected_rows: how many the model's has.
        keep_tokens: list of ids to keep, or None for all.
        compound_tokens: list or dict as above, or None.
        name: the weight's name, for messages.
        original_rows: how many the table has before any edit (the config's vocab_size), or None.
        resize: a table of another number of rows is first cut, or continued by zeros, to
            `original_rows`, so that compound_tokens come after them (where keep_tokens does not
            say which rows there are). `note` says so, and `unknown` which rows were continued.

    Raises:
        CheckpointError: if an id is none of the rows it selects from, or a new id none of the
            new vocabulary.

    Example:

    >>> import numpy
    >>> from bert4keras_ext.checkpoints.vocabulary import VocabularyEdit
    >>> edit = VocabularyEdit(5, 4, keep_tokens=[0, 2, 4], compound_tokens=[[1, 2]])
    >>> edit.apply(numpy.arange(5.0), axis=0)
    array([0., 2., 4., 3.])
    >>> edit = VocabularyEdit(5, 4, keep_tokens=[0, 2, 4], compound_tokens={1: [3, 4]})
    >>> edit.apply(numpy.arange(5.0), axis=0)
    array([0. , 3.5, 2. , 4. ])
    """

    def __init__(
        self,
        rows,
        expected_rows,
        keep_tokens=None,
        compound_tokens=None,
        name="embeddings",
        original_rows=None,
        resize=False,
    ):
        self.keep = None if keep_tokens is None else np.asarray(keep_tokens, dtype=np.int64)
        self.places, items = _places_and_items(compound_tokens)
        self.compound = [_ids_and_weights(item) for item in items]
        self.note = None
        self.name = name
        self._found, self._original = rows, None
        self._skip_what_is_done(rows, expected_rows)
        if resize and self.keep is None and self.compound and original_rows is not None:
            rows = self._resize(original_rows)
        self.rows = self._check(rows)
        if self.keep is not None and original_rows is not None and not self._keeps_every_row():
            self._decide_by_size(original_rows)

    def apply(self, array, axis):
        """Returns the edited weight. Averages are computed in float64, kept in float32 at least."""
        whole = array = self._of_original_size(array, axis)
        if self.keep is not None:
            array = np.take(array, self.keep, axis=axis)
        if not self.compound:
            return array
        dtype = np.promote_types(np.float32, array.dtype)
        added = self._averages(array if self.places is None else whole, axis, dtype)
        array = np.concatenate([array.astype(dtype, copy=False), added], axis=axis)
        return array if self.places is None else np.take(array, self._order(), axis=axis)

    def unknown(self):
        """For each row of the edited table whether the checkpoint has nothing for it."""
        if self._original is None:
            return np.zeros(self.rows, bool)
        is_known = self.apply(np.ones(self._found), axis=0)
        return is_known == 0

    def _resize(self, original_rows):
        if original_rows != self._found:
            self._original = original_rows
            place = "before compound_tokens" if self.places is None else "around compound_tokens"
            fate = "are left out" if original_rows < self._found else "stay as they are"
            first, last = sorted((self._found, original_rows))
            self.note = (
                f"{self.name}: the checkpoint has {self._found} rows, vocab_size={original_rows}: "
                f"rows {first} to {last - 1} {fate}, {place}"
            )
        return original_rows

    def _of_original_size(self, array, axis):
        if self._original is None:
            return array
        array = np.take(array, np.arange(min(self._found, self._original)), axis=axis)
        missing = [(0, 0)] * array.ndim
        missing[axis] = (0, self._original - array.shape[axis])
        return np.pad(array, missing)

    def _decide_by_size(self, original_rows):
        if self._found != original_rows:
            self._skip_selection(self._found, f"{original_rows} (vocab_size)")
        elif self._found == self.rows:
            self.note = self._ambiguity()

    def _keeps_every_row(self):
        # The lengths first: a damaged file may claim any number of rows.
        return len(self.keep) == self._found and np.array_equal(self.keep, np.arange(self._found))

    def _ambiguity(self):
        asked = "keep_tokens and compound_tokens" if self.compound else "keep_tokens"
        return (
            f"{self.name}: {asked} make {self.rows} rows out of {self.rows}, so the size of this "
            "table does not tell whether it was saved after them. It is taken for the original, "
            f"since vocab_size={self.rows} is the size before the edit, and edited. If it was "
            f"saved after the edit, leave {asked} out to load it as it is; a file saved with "
            "format='native' is never edited twice"
        )

    def _averages(self, array, axis, dtype):
        """One row for each of compound_tokens."""
        used, positions = np.unique(
            np.concatenate([ids for ids, _ in self.compound]), return_inverse=True
        )
        # Gathered once: in a matrix (hidden, vocabulary) the parts of a row lie far apart.
        table = np.ascontiguousarray(np.moveaxis(np.take(array, used, axis=axis), axis, 0))
        weights = np.concatenate([weights / weights.sum() for _, weights in self.compound])
        weights = weights.reshape(-1, *[1] * (table.ndim - 1))
        starts = np.cumsum([0] + [len(ids) for ids, _ in self.compound])
        means = np.empty((len(self.compound), *table.shape[1:]), dtype)
        for first in range(0, len(means), CHUNK):
            bounds = starts[first : first + CHUNK + 1]
            part = slice(bounds[0], bounds[-1])
            rows = table[positions[part]] * weights[part]
            means[first : first + CHUNK] = np.add.reduceat(rows, bounds[:-1] - bounds[0], axis=0)
        return np.moveaxis(means, 0, axis)

    def _order(self):
        """Which row of those selected, then averaged, stands at each place of the dict form."""
        kept = self.rows - len(self.compound)
        order = np.empty(self.rows, np.int64)
        order[self.places] = kept + np.arange(len(self.compound))
        order[np.setdiff1d(np.arange(self.rows), self.places)] = np.arange(kept)
        return order

    def _skip_what_is_done(self, rows, expected_rows):
        if self.keep is None:
            # Fewer rows are expected in the file than in the model, by the number of new tokens.
            if self.compound and rows == expected_rows:
                self.note = f"{self.name}: compound_tokens are already in this table of {rows} rows"
                self.compound = []
        elif self._largest() >= rows:
            self._skip_selection(rows, f"{self._largest() + 1} or more")

    def _largest(self):
        """The largest id that is asked of the checkpoint's table."""
        ids = [self.keep]
        if self.places is not None:
            ids += [ids for ids, _ in self.compound]
        return max((part.max() for part in ids if len(part)), default=-1)

    def _skip_selection(self, rows, size):
        """Skips the selection if the table is as large as after it; `size` is the original's."""
        kept, done = len(self.keep), "keep_tokens"
        if rows == kept + len(self.compound):
            done += " and compound_tokens" if self.compound else ""
            self.compound, self.keep = [], None
        elif rows == kept and self.places is None:
            self.keep = None
        else:
            return
        self.note = (
            f"{self.name}: this table of {rows} rows has already been trimmed to keep_tokens, "
            f"which select {kept} rows of a table of {size}, so it is taken as it is; "
            f"say vocab_size={rows} and leave {done} out to load it without this note"
        )

    def _check(self, rows):
        known = min(rows, self._found)  # averages are made of what the checkpoint has
        if self.keep is not None:
            self._check_ids("keep_tokens", self.keep, rows)
            rows = len(self.keep)
            known = rows if self.places is None else known
        for ids, _ in self.compound:
            self._check_ids("compound_tokens", ids, known)
        rows += len(self.compound)
        if self.compound and self.places is not None:
            self._check_places(rows)
        return rows

    def _check_ids(self, what, ids, rows):
        if len(ids) and (ids.min() < 0 or ids.max() >= rows):
            raise CheckpointError(
                f"{what} for {self.name}: expected ids from 0 to {rows - 1}, "
                f"since the table has {rows} rows, found {ids.min()} to {ids.max()}. "
                "Either the ids belong to another vocabulary, or the table has been trimmed "
                f"before with other tokens; leave {what} out if it has the model's vocabulary."
            )

    def _check_places(self, rows):
        places = self.places
        if places.min() < 0 or places.max() >= rows or len(np.unique(places)) < len(places):
            raise CheckpointError(
                f"compound_tokens for {self.name}: expected as keys different new ids from 0 to "
                f"{rows - 1}, since {rows - len(places)} kept and {len(places)} new tokens make "
                f"{rows}, found {places.min()} to {places.max()}. Give keep_tokens for all ids "
                "that are no key."
            )


def _places_and_items(compound_tokens):
    """The new ids of a dict's entries (None for a list), and the entries."""
    if not isinstance(compound_tokens, dict):
        return None, compound_tokens or []
    try:
        places = [int(place) for place in compound_tokens]  # in JSON the keys are strings
    except ValueError as error:
        raise CheckpointError(
            "compound_tokens: expected a dict from new ids to lists of ids, found a key that is "
            f"no integer ({error}). Use the id of the new token in place of the token"
        ) from None
    return np.asarray(places, dtype=np.int64), list(compound_tokens.values())


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
