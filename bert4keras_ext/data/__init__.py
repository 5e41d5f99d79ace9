"""From text files to batches: readers, text tools, padding, generators. NumPy only.

`tensorflow` is imported by `DataGenerator.to_dataset` alone, at the moment it is called.
"""

from bert4keras_ext.data.arrays import is_one_of, softmax, to_array
from bert4keras_ext.data.batches import as_keras_batch
from bert4keras_ext.data.buckets import BucketedGenerator, bucket_batches
from bert4keras_ext.data.clue import (
    distinct_labels,
    read_afqmc,
    read_csl,
    read_labels,
    read_pairs,
    read_sentences,
    read_sts,
    read_tnews,
    read_wsc,
)
from bert4keras_ext.data.clue_choices import Blank, ChoiceQuestion, read_c3, read_chid
from bert4keras_ext.data.common_sequences import (
    longest_common_subsequence,
    longest_common_substring,
)
from bert4keras_ext.data.generator import DataGenerator
from bert4keras_ext.data.lengths import bucket_length, text_length
from bert4keras_ext.data.padding import sequence_padding
from bert4keras_ext.data.parallel import (
    ParallelError,
    parallel_apply,
    parallel_apply_generator,
)
from bert4keras_ext.data.pseudo_summaries import (
    pseudo_summary,
    summary_chunks,
    summary_sentences,
)
from bert4keras_ext.data.readers import RowError, read_jsonl, read_table, write_jsonl
from bert4keras_ext.data.reading_comprehension import (
    PassagesQuestion,
    SpanQuestion,
    read_squad,
    read_webqa,
)
from bert4keras_ext.data.shuffle import shuffle_stream
from bert4keras_ext.data.spans import cluener_label, read_cluener, token_span
from bert4keras_ext.data.summary_pairs import PseudoSummaryGenerator
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
from bert4keras_ext.data.textfile import TextFile
from bert4keras_ext.data.windows import Window, sliding_windows

__all__ = [
    "Blank",
    "BucketedGenerator",
    "ChoiceQuestion",
    "DataGenerator",
    "ParallelError",
    "PassagesQuestion",
    "PseudoSummaryGenerator",
    "RowError",
    "SpanQuestion",
    "TextFile",
    "Window",
    "as_keras_batch",
    "bucket_batches",
    "bucket_length",
    "cluener_label",
    "convert_to_str",
    "convert_to_unicode",
    "distinct_labels",
    "is_one_of",
    "is_string",
    "longest_common_subsequence",
    "longest_common_substring",
    "lowercase_and_normalize",
    "parallel_apply",
    "parallel_apply_generator",
    "pseudo_summary",
    "read_afqmc",
    "read_c3",
    "read_chid",
    "read_cluener",
    "read_csl",
    "read_jsonl",
    "read_labels",
    "read_pairs",
    "read_sentences",
    "read_squad",
    "read_sts",
    "read_table",
    "read_tnews",
    "read_webqa",
    "read_wsc",
    "sequence_padding",
    "shuffle_stream",
    "sliding_windows",
    "softmax",
    "strQ2B",
    "string_matching",
    "summary_chunks",
    "summary_sentences",
    "text_length",
    "text_segmentate",
    "to_array",
    "token_span",
    "truncate_sequences",
    "write_jsonl",
]
