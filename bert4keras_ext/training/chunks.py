"""A function of many rows, run on a chunk of them at a time, with a gradient that does the same."""

import keras
from keras import tree

from bert4keras_ext.backend.gradients import custom_gradient
from bert4keras_ext.backend.keras_internals import keras_mask, set_keras_mask


def checked_leaves(leaves, inputs):
    """The leaves as tensors (None stays), which all have the same number of rows."""
    import tensorflow as tf

    composite = (tf.RaggedTensor, tf.SparseTensor, tf.IndexedSlices)
    for leaf in leaves:
        if isinstance(leaf, composite):
            raise TypeError(
                "expected dense inputs, which can be cut into chunks, found "
                f"{type(leaf).__name__}: pad them first"
            )
    leaves = [None if leaf is None else tf.convert_to_tensor(leaf) for leaf in leaves]
    rows = [leaf.shape[0] if leaf.shape.rank else 0 for leaf in leaves if leaf is not None]
    if len({number for number in rows if number is not None}) > 1 or 0 in rows:
        names = [tensor.name for tensor in inputs]
        raise ValueError(
            f"expected inputs {names} with the same number of rows, at least one, found shapes "
            + ", ".join(str(leaf.shape) for leaf in leaves if leaf is not None)
        )
    return leaves


class Chunks:
    """One call of a function of rows: forward in chunks, and backward in chunks.

    Args:
        model: has the variables, the output specs, ``chunk_size`` and ``layer_losses``.
        function: list of tensors (or None), some rows of all -> outputs.
        leaves: the tensors of all rows.
    """

    def __init__(self, model, function, leaves):
        import tensorflow as tf

        self.function = function
        self.leaves = leaves
        self.places = [i for i, leaf in enumerate(leaves) if leaf is not None]
        self.layer_losses = model.layer_losses
        self.weights = model.trainable_variables
        self.state = _state_of(model)
        self.dtypes = [x.dtype for x in model.outputs]
        self.is_masked = [keras_mask(x) is not None for x in model.outputs]
        self.structure = None
        self.has_loss = False
        self.changed = set()  # places in `state` of what the function writes
        self.shapes = None
        first = leaves[self.places[0]]
        self.rows = first.shape[0] or tf.shape(first)[0]
        self._plan(model.chunk_size, model.compiled and model.jit_compile)

    def _plan(self, chunk_size, is_xla):
        """Sets `size`, `loops` and `rest`: the rows of a last chunk outside of the loop, or None.

        XLA knows slices of one size in a loop only, so a chunk that is, or may be, smaller stands
        outside there; elsewhere one loop is enough, and is traced faster.
        """
        import tensorflow as tf

        if isinstance(self.rows, int):
            self.size = min(chunk_size, self.rows)
            self.loops, self.rest = divmod(self.rows, self.size)
            if self.loops == 1 and not self.rest:
                self.loops, self.rest = 0, self.rows
        elif is_xla:
            self.size = tf.minimum(chunk_size, self.rows)
            self.loops = (self.rows - 1) // chunk_size
            self.rest = self.rows - self.loops * self.size
        else:
            self.size = chunk_size
            self.loops, self.rest = (self.rows + chunk_size - 1) // chunk_size, None
        self.rest = None if isinstance(self.rest, int) and not self.rest else self.rest
        self.is_ragged = not isinstance(self.rows, int) and not is_xla

    def differentiable(self):
        """(outputs, loss added by layers) of all rows, with a gradient that runs them again."""
        import tensorflow as tf

        tensors = [self.leaves[place] for place in self.places]
        before = [tf.identity(variable.value) for variable in self.state]

        @custom_gradient
        def forward(*args):
            rows, weights = args[: len(tensors)], args[len(tensors) :]
            outputs, loss, after = self.forward(rows, weights, before)

            def gradient(*upstream, variables=None):
                of_outputs, of_loss = upstream[: len(self.dtypes)], upstream[len(outputs)]
                of_rows, of_weights = self.backward(rows, outputs, of_outputs, of_loss, before)
                # `variables` are weights again, as far as TensorFlow saw layers read them.
                found = [*of_rows, *of_weights]
                return (found, [None] * len(variables)) if variables else found

            return [*outputs, loss, *after], gradient

        results = forward(*tensors, *[tf.convert_to_tensor(w.value) for w in self.weights])
        count = len(self.dtypes) + sum(self.is_masked)
        for place in self.changed:
            self.state[place].assign(results[count + 1 + place])
        return self._with_masks(results[:count]), results[count]

    def _with_masks(self, results):
        outputs, masks = results[: len(self.dtypes)], iter(results[len(self.dtypes) :])
        for output, is_masked in zip(outputs, self.is_masked):
            if is_masked:
                set_keras_mask(output, next(masks))
        return tree.pack_sequence_as(self.structure, outputs)

    def forward(self, rows, weights, state):
        """Pass 1: (outputs and masks, loss, state afterwards); no activation outlives its chunk."""
        import tensorflow as tf

        # Without this a tape, where there is no graph, would keep the activations.
        rows, weights = [[tf.stop_gradient(x) for x in each] for each in (rows, weights)]
        known = list(zip(self.weights, weights))

        def step(start, size, state, loss):
            outputs, added, state = self.run(_cut(rows, start, size), size, state, known)
            return outputs, state, loss + added

        def body(index, arrays, state, loss):
            outputs, state, loss = step(*self._chunk(index), state, loss)
            return index + 1, _write(arrays, index, outputs), state, loss

        dtypes = [*self.dtypes, *["bool" for masked in self.is_masked if masked]]
        arrays, state, loss = self._loop(body, self._arrays(dtypes), state, tf.zeros(()))
        last = None
        if self.rest is not None:
            last, state, loss = step(self.loops * self.size, self.rest, state, loss)
        return self._join(arrays, last, self.shapes), loss, state

    def backward(self, rows, outputs, of_outputs, of_loss, state):
        """Pass 2: gradients of the float tensors among ``rows`` (None else) and of the weights."""
        import tensorflow as tf

        floats = [i for i, x in enumerate(rows) if x.dtype.is_floating]
        upstream = [
            tf.zeros_like(x) if g is None else g
            for x, g in zip(outputs, of_outputs)
            if x.dtype.is_floating
        ]
        connected = [False] * len(self.weights)

        def step(start, size, offsets, state, sums):
            seeds = upstream, offsets, of_loss
            found = self._run_back(_cut(rows, start, size), size, state, seeds)
            of_rows, of_weights, offsets, state = found
            connected[:] = [g is not None for g in of_weights]
            return of_rows, offsets, state, [_added(x, g) for x, g in zip(sums, of_weights)]

        def body(index, arrays, offsets, state, sums):
            of_rows, *rest = step(*self._chunk(index), offsets, state, sums)
            return index + 1, _write(arrays, index, of_rows), *rest

        arrays = self._arrays([rows[i].dtype for i in floats])
        sums = [tf.zeros(w.shape, _wide(w.dtype)) for w in self.weights]
        values = self._loop(body, arrays, [0 for _ in upstream], state, sums)
        arrays, offsets, state, sums = values
        last = None
        if self.rest is not None:
            last, _, _, sums = step(self.loops * self.size, self.rest, offsets, state, sums)
        of_floats = self._join(arrays, last, [rows[i].shape[1:] for i in floats])
        of_floats = dict(zip(floats, of_floats))
        sums = [tf.cast(x, w.dtype) for x, w in zip(sums, self.weights)]
        # What no output depends on has no gradient, not one of zeros, as without chunks.
        of_weights = [x if is_connected else None for x, is_connected in zip(sums, connected)]
        return [of_floats.get(i) for i in range(len(rows))], of_weights

    def _run_back(self, chunk, size, state, seeds):
        """(gradients of float inputs, of weights, offsets of the next chunk, state after)."""
        import tensorflow as tf

        upstream, offsets, of_loss = seeds
        sources = [x for x in chunk if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            found, loss, state = self.run(chunk, size, state, ())
        targets = [x for x in found if x.dtype.is_floating]
        # Outputs may have fewer rows than inputs, such as one a pair.
        lengths = [tf.shape(x)[0] for x in targets]
        gradients = [_rows_of(g, n, size) for g, n, size in zip(upstream, offsets, lengths)]
        if self.has_loss and of_loss is not None:
            targets, gradients = [*targets, loss], [*gradients, of_loss]
        found = tape.gradient(targets, [*sources, *[w.value for w in self.weights]], gradients)
        of_rows = [tf.zeros_like(x) if g is None else g for x, g in zip(sources, found)]
        offsets = [n + length for n, length in zip(offsets, lengths)]
        return of_rows, found[len(sources) :], offsets, state

    def run(self, chunk, size, state, known):
        """One chunk from given values of the state: (outputs and masks, loss, state after)."""
        filled = [None] * len(self.leaves)
        for place, tensor in zip(self.places, chunk):
            filled[place] = tensor
        mapping = [*zip(self.state, state), *known]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            before = dict(scope.state_mapping)
            outputs = self.function(filled)
        self._note_changes(scope, before)
        self.structure = outputs
        outputs = tree.flatten(outputs)
        masks = [keras_mask(x) for x, is_masked in zip(outputs, self.is_masked) if is_masked]
        state = [scope.get_current_value(variable) for variable in self.state]
        self.shapes = [x.shape[1:] for x in [*outputs, *masks]]
        return [*outputs, *masks], self._loss_of(scope.losses, size), state

    def _note_changes(self, scope, before):
        written = {key for key, x in scope.state_mapping.items() if x is not before.get(key)}
        self.changed |= {i for i, variable in enumerate(self.state) if id(variable) in written}
        weights = [w.path for w in self.weights if id(w) in written]
        if weights:
            raise ValueError(
                f"expected layers that leave trainable weights alone, found that {weights} change "
                "while the model is called: train such a model without chunks"
            )
        if written - {id(variable) for variable in self.state}:
            raise ValueError(
                "expected layers whose state belongs to them, found one that changes a variable "
                "outside of the model, such as the global random generator: make a "
                "keras.random.SeedGenerator an attribute of the layer and pass it as seed"
            )

    def _loss_of(self, losses, size):
        """The losses of layers; those that are means weigh as much as the chunk has of the rows."""
        import tensorflow as tf

        if not losses:
            return tf.zeros(())
        if self.layer_losses is None:
            raise ValueError(
                f"expected layers without add_loss, found {len(losses)} losses of layers: say with "
                'layer_losses="mean" or "sum" whether they are means or sums over the rows'
            )
        self.has_loss = True
        total = sum(tf.reduce_sum(tf.cast(loss, "float32")) for loss in losses)
        if self.layer_losses == "sum":
            return total
        return total * (tf.cast(size, total.dtype) / tf.cast(self.rows, total.dtype))

    def _chunk(self, index):
        """(start, size) of a chunk in the loop."""
        import tensorflow as tf

        start = index * self.size
        return start, tf.minimum(self.size, self.rows - start) if self.is_ragged else self.size

    def _arrays(self, dtypes):
        import tensorflow as tf

        return [tf.TensorArray(dtype, self.loops) for dtype in dtypes]

    def _loop(self, body, *values):
        """Runs the body for every chunk but that of `rest`, one at a time."""
        import tensorflow as tf

        if isinstance(self.loops, int) and not self.loops:
            return values
        _, *values = tf.while_loop(
            lambda index, *_: index < self.loops,
            body,
            (tf.constant(0), *values),
            parallel_iterations=1,  # two chunks side by side would need twice the memory
        )
        return values

    def _join(self, arrays, last, shapes):
        """The rows of all chunks: those in the arrays, then those of the last one, if any."""
        import tensorflow as tf

        def all_chunks():
            parts = [[array.concat()] for array in arrays]
            return [tf.concat([*x, y], 0) for x, y in zip(parts, last)] if last else sum(parts, [])

        if isinstance(self.loops, int):
            joined = all_chunks() if self.loops else last
        else:
            joined = (
                tf.cond(self.loops > 0, all_chunks, lambda: list(last)) if last else all_chunks()
            )
        for tensor, shape in zip(joined, shapes):
            tensor.set_shape([None, *shape])
        return list(joined)


def _state_of(model):
    """All variables that a call may write: seeds, moving averages, metrics of layers."""
    metrics = [v for layer in model.layers for v in layer.metrics_variables]
    found = [*model.non_trainable_variables, *metrics]
    return list({id(variable): variable for variable in found}.values())


def _cut(tensors, start, size):
    return [_rows_of(x, start, size) for x in tensors]


def _rows_of(x, start, size):
    """``x[start : start + size]``, which XLA compiles for a start that changes."""
    import tensorflow as tf

    rest = tf.shape(x)[1:]
    found = tf.slice(x, tf.concat([[start], tf.zeros_like(rest)], 0), tf.concat([[size], rest], 0))
    found.set_shape([size if isinstance(size, int) else None, *x.shape[1:]])
    return found


def _write(arrays, index, values):
    return [array.write(index, value) for array, value in zip(arrays, values)]


def _wide(dtype):
    """Sums of many gradients need more than 16 bits."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _added(total, gradient):
    """total + gradient; rows of an embedding's gradient are added in place."""
    import tensorflow as tf

    if gradient is None:
        return total
    if isinstance(gradient, tf.IndexedSlices):
        values = tf.cast(gradient.values, total.dtype)
        return tf.tensor_scatter_nd_add(total, gradient.indices[:, None], values)
    return total + tf.cast(gradient, total.dtype)
