"""ERNIE, Baidu's BERT, with a vector for the task."""

import keras
from keras import ops

from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import Layer
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.checks import check_sizes

# What transformers assumes where a config.json is silent.
HUGGING_FACE_DEFAULTS = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "task_type_vocab_size": 3}


class ERNIE(BERT):
    """BERT that may add one more vector to every token's embedding, that of the task.

    Args:
        use_task_id: add it, as in ERNIE 2.0 and 3.0.
        task_type_vocab_size: number of tasks.
        task_id: the task of all tokens.
        custom_task_ids: take task ids as the last input instead.
        **kwargs: those of BERT.

    Inputs: token ids, segment ids, (position ids), (task ids), each int (batch, length). Outputs:
    as BERT.

    Raises:
        ValueError: for a task_id that is none of the tasks, or task ids without use_task_id.

    Source: arXiv 1904.09223 (1.0), 1907.12412 (2.0), 2107.02137 (3.0).
    """

    family = "ernie"

    def __init__(
        self,
        use_task_id=False,
        task_type_vocab_size=3,
        task_id=0,
        custom_task_ids=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_sizes(task_type_vocab_size=task_type_vocab_size)
        if task_id not in range(task_type_vocab_size):
            raise ValueError(
                f"task_id expects one of the {task_type_vocab_size} tasks, 0 to "
                f"{task_type_vocab_size - 1} (task_type_vocab_size), received {task_id!r}"
            )
        if (custom_task_ids or task_id) and not use_task_id:
            raise ValueError(
                "this ERNIE has no table of tasks (use_task_id is false): leave out task_id and "
                "custom_task_ids, or pass use_task_id=True if its checkpoint has one"
            )
        self.use_task_id = use_task_id
        self.task_type_vocab_size = task_type_vocab_size
        self.task_id = task_id
        self.custom_task_ids = custom_task_ids

    @classmethod
    def adapt_config(cls, config):
        known = super().adapt_config(config)
        if config.get("model_type") == "ernie":
            known = {**HUGGING_FACE_DEFAULTS, **known}
        return known

    def get_inputs(self):
        more = [self.apply_input("Input-Task")] if self.custom_task_ids else []
        return [*super().get_inputs(), *more]

    def split_inputs(self, inputs):
        inputs = list(inputs)
        self.task_ids = inputs.pop() if self.custom_task_ids else None
        return super().split_inputs(inputs)

    def apply_position_embedding(self, x):
        x = super().apply_position_embedding(x)
        if not self.use_task_id:
            return x
        return self.apply(
            x,
            TaskEmbedding,
            arguments={"task_ids": self.task_ids},
            input_dim=self.task_type_vocab_size,
            task_id=self.task_id,
            embeddings_initializer=self.initializer,
            name="Embedding-Task",
        )


@register
class TaskEmbedding(Layer):
    """Adds the vector of a task to every token: ``x + E[task]``.

    Args:
        input_dim: number of tasks.
        task_id: the task where no ids are given.
        embeddings_initializer: of the table E.

    Inputs: x (batch, length, dim) and optionally task_ids, int (batch, length). The mask of x is
    passed on.

    Example:

    >>> tuple(TaskEmbedding(input_dim=3)(ops.ones((1, 2, 4))).shape)
    (1, 2, 4)
    """

    def __init__(self, input_dim, task_id=0, embeddings_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.task_id = task_id
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, inputs_shape, task_ids_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, inputs_shape[-1]),
            initializer=self.embeddings_initializer,
        )

    def call(self, inputs, task_ids=None):
        if task_ids is None:
            rows = self.embeddings[self.task_id]
        else:
            rows = ops.take(self.embeddings, task_ids, axis=0)  # (batch, length, dim)
        return inputs + ops.cast(rows, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask

    def compute_output_shape(self, inputs_shape, task_ids_shape=None):
        return tuple(inputs_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "task_id": self.task_id,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
