"""Few shapes for programs that are compiled for each shape."""

import logging

import numpy as np
from keras import ops, tree

from bert4keras_ext.backend.keras_internals import all_layers_of

logger = logging.getLogger(__name__)

LENGTH = 32  # lengths become multiples of it


class Padding:
    """Fills inputs up to a few shapes, where the model's outputs do not change by it.

    Token ids are continued by the model's padding, segments and positions by their last one, rows
    by copies of the last row: padding tokens are masked, and what follows is not seen by a
    language model. Whether that holds for this very model, with its layers of the user's own, is
    tried out once, without compiling anything.

    Args:
        model: a functional Keras model.
    """

    def __init__(self, model):
        self.is_harmless = None
        self._refused = set()
        layers = all_layers_of(model)
        masking = (layer for layer in layers if getattr(layer, "mask_zero", False))
        self._padding_id = next((getattr(layer, "padding_id", 0) for layer in masking), 0)
        self._is_open = [len(x.shape) == 2 and x.shape[1] is None for x in model.inputs]
        self._is_tokens = [i == 0 or "Token" in x.name for i, x in enumerate(model.inputs)]
        short = any("16" in str(getattr(layer, "compute_dtype", "")) for layer in layers)
        self._tolerance = 5e-2 if short else 1e-4

    def run(self, program, arrays, model):
        """``program(arrays, 0)``, where it can be from filled arrays.

        Args:
            program: of the arrays and of the number of positions at the end to pass over.
            arrays: a NumPy array for each input.
            model: a function of arrays that gives the outputs of all positions.
        """
        if self.is_harmless is None:
            self.is_harmless = self._try_out(arrays, model)
        filled, added = self._fill(arrays)
        shapes = str([array.shape for array in filled])
        if self.is_harmless and shapes not in self._refused:
            try:
                found = program(filled, added)
                return tree.map_structure(lambda x: x[: len(arrays[0])], found)
            except Exception:
                # More positions than a table has, say; what is wrong with the inputs shows below.
                self._refused.add(shapes)
        return program(arrays, 0)

    def _fill(self, arrays):
        rows = (1 << (len(arrays[0]) - 1).bit_length()) - len(arrays[0])
        return self._continued(arrays, rows, [-array.shape[-1] % LENGTH for array in arrays])

    def _continued(self, arrays, rows, lengths):
        """(arrays with rows and positions added, how many positions the last sequence got)."""
        added, filled = 0, []
        for array, length, is_open, is_tokens in zip(
            arrays, lengths, self._is_open, self._is_tokens
        ):
            array = np.concatenate([array, array[-1:].repeat(rows, axis=0)])
            if is_open:
                added, last = length, array[:, -1:]
                last = np.full_like(last, self._padding_id) if is_tokens else last
                array = np.concatenate([array, last.repeat(length, axis=1)], axis=1)
            filled.append(array)
        return filled, added

    def _try_out(self, arrays, model):
        """Whether what is added changes nothing in front of it.

        The inputs are cut by what is added again, so that positions suffice; one place is left.
        """
        lengths = [3 if is_open else 0 for is_open in self._is_open]
        short = [
            array[:, : max(array.shape[1] - 3, 1)] if is_open else array
            for array, is_open in zip(arrays, self._is_open)
        ]
        filled, added = self._continued(short, 1, lengths)
        pairs = zip(tree.flatten(model(short)), tree.flatten(model(filled)))
        harmless = all(self._agree(x, y, added) for x, y in pairs)
        if not harmless:
            logger.info("inputs are not padded: outputs of %s would change by it", model)
        return harmless

    def _agree(self, wanted, found, added):
        wanted, found = (ops.convert_to_numpy(ops.cast(x, "float32")) for x in (wanted, found))
        found = found[: len(wanted), : found.shape[1] - added]
        if found.shape != wanted.shape:
            return False
        return np.abs(found - wanted).max() <= self._tolerance * np.abs(wanted).max()
