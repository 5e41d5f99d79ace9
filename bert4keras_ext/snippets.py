"""bert4keras.snippets' flat names; each lives, documented, in the module it is imported from."""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext.backend.arguments import delete_arguments, insert_arguments
from bert4keras_ext.checkpoints import orthogonally_resize
from bert4keras_ext.data.arrays import is_one_of, softmax, to_array
from bert4keras_ext.data.common_sequences import (
    longest_common_subsequence,
    longest_common_substring,
)
from bert4keras_ext.data.generator import DataGenerator
from bert4keras_ext.data.padding import sequence_padding
from bert4keras_ext.data.parallel import parallel_apply, parallel_apply_generator
from bert4keras_ext.data.text import (
    convert_to_str,
    convert_to_unicode,
    is_string,
    lowercase_and_normalize,
    string_matching,
    strQ2B,
    text_segmentate,
    truncate_sequences,
)

# Scripts do `from bert4keras.snippets import open`; the package itself never shadows the builtin.
from bert4keras_ext.data.textfile import TextFile as open
from bert4keras_ext.generation.decoder import AutoRegressiveDecoder
from bert4keras_ext.numerics import ViterbiDecoder

__all__ = [
    "AutoRegressiveDecoder",
    "DataGenerator",
    "ViterbiDecoder",
    "convert_to_str",
    "convert_to_unicode",
    "delete_arguments",
    "insert_arguments",
    "is_one_of",
    "is_string",
    "longest_common_subsequence",
    "longest_common_substring",
    "lowercase_and_normalize",
    "open",
    "orthogonally_resize",
    "parallel_apply",
    "parallel_apply_generator",
    "sequence_padding",
    "softmax",
    "strQ2B",
    "string_matching",
    "text_segmentate",
    "to_array",
    "truncate_sequences",
]

__getattr__ = getattr_of(__name__)
