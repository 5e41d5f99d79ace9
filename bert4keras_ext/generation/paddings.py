"""Few shapes for programs that are compiled for each shape."""

import logging

import numpy as np
from keras import tree

from bert4keras_ext.backend.keras_internals import all_layers_of
from bert4keras_ext.generation.probabilities import as_floats

logger = logging.getLogger(__name__)

LENGTH = 32  # lengths become multiples of it


class Padding:
    """Fills inputs up to a few shapes, where the model's outputs do not change by it.

    Token ids are continued by the model's padding, or 0 and 1 where it has none, segments
    and positions by their last one, rows by copies of the last row: padding is masked, and what
    follows is not seen by a language model. Whether that holds for this very model, with its
    layers of the user's own, is tried out once.

    Args:
        model: a functional Keras model.
    """

    def __init__(self, model):
        self.is_harmless = None
        self._refused = set()
        layers = all_layers_of(model)
        masking = (layer for layer in layers if getattr(layer, "mask_zero", False))
        self._padding_id = next((getattr(layer, "padding_id", 0) for layer in masking), -1)
        self._is_open = [len(x.shape) == 2 and x.shape[1] is None for x in model.inputs]
        self._is_tokens = [i == 0 or "Token" in x.name for i, x in enumerate(model.inputs)]
        short = any("16" in str(getattr(layer, "compute_dtype", "")) for layer in layers)
        self._tolerance = 5e-2 if short else 1e-4

    def run(self, program, arrays, trial=None):
        """``program(arrays, 0)``, where it can be from filled arrays.

        Args:
            program: of the arrays and of the number of positions at the end to pass over.
            arrays: a NumPy array for each input.
            trial: what the one trial is made with, where that is cheaper than the program.
        """
        filled, added = self._fill(arrays)
        shapes = str([array.shape for array in filled])
        if filled is arrays or self.is_harmless is False or shapes in self._refused:
            return program(arrays, 0)
        try:
            if self.is_harmless is None:
                self._try_out(trial or program, arrays, filled, added)
            if self.is_harmless:
                found = program(filled, added)
                return tree.map_structure(lambda x: x[: len(arrays[0])], found)
        except Exception:
            # More positions than a table has, say; what is wrong with the inputs shows below.
            self._refused.add(shapes)
        return program(arrays, 0)

    def _fill(self, arrays):
        """(arrays with rows and positions added, how many positions the last sequence got)."""
        added, filled = 0, []
        rows = (1 << (len(arrays[0]) - 1).bit_length()) - len(arrays[0])
        for array, is_open, is_tokens in zip(arrays, self._is_open, self._is_tokens):
            array = np.concatenate([array, array[-1:].repeat(rows, axis=0)])
            if is_open:
                added = -array.shape[1] % LENGTH
                last = array[:, -1:].repeat(added, axis=1)
                more = self._tokens(last) if is_tokens else last
                array = np.concatenate([array, more], axis=1)
            filled.append(array)
        same = all(x.shape == y.shape for x, y in zip(filled, arrays))
        return (arrays if same else filled), added

    def _tokens(self, places):
        if self._padding_id >= 0:
            return np.full_like(places, self._padding_id)
        # Not all alike, lest they be what the outputs should come from: the trial would not tell.
        return np.zeros_like(places) + np.arange(places.shape[1], dtype=places.dtype) % 2

    def _try_out(self, program, arrays, filled, added):
        pairs = zip(tree.flatten(program(arrays, 0)), tree.flatten(program(filled, added)))
        self.is_harmless = all(self._agree(*map(as_floats, pair)) for pair in pairs)
        if not self.is_harmless:
            logger.info("inputs are not padded, since the outputs of the model would change by it")

    def _agree(self, wanted, found):
        found = found[: len(wanted)]
        near = self._tolerance * np.abs(wanted).max()
        return found.shape == wanted.shape and np.abs(found - wanted).max() <= near
