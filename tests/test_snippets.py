import builtins

import keras
import numpy as np
import pytest

from bert4keras_ext import data, snippets

# bert4keras.snippets' names that belong to data/; decoding and the others come with their folders.
NAMES = """
to_array is_string strQ2B string_matching convert_to_unicode convert_to_str lowercase_and_normalize
parallel_apply_generator parallel_apply sequence_padding truncate_sequences text_segmentate
is_one_of DataGenerator softmax longest_common_substring longest_common_subsequence
""".split()


def test_names_are_those_of_data():
    for name in NAMES:
        assert getattr(snippets, name) is getattr(data, name)
    assert set(NAMES) <= set(snippets.__all__)


class Base:
    def __init__(self, name, with_pool=True):
        self.name, self.with_pool = name, with_pool


class Decorated(Base):
    @snippets.insert_arguments(alpha=0.5)
    @snippets.delete_arguments("with_pool")
    def __init__(self, name, **kwargs):
        super().__init__(name, **kwargs)


def test_arguments_of_init():
    plain, given = Decorated("a"), Decorated("b", alpha=2)
    assert (plain.name, plain.alpha, plain.with_pool) == ("a", 0.5, None)
    assert (given.name, given.alpha) == ("b", 2)
    with pytest.raises(TypeError, match="Decorated expected no argument 'with_pool'"):
        Decorated("c", with_pool=True)


def test_arguments_of_a_layer():
    class Scale(keras.layers.Layer):
        @snippets.insert_arguments(alpha=0.5)
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

        def call(self, inputs):
            return self.alpha * inputs

    assert float(Scale(alpha=3, name="scale")(np.ones(()))) == 3


def test_open_is_the_text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("一\n二\n", encoding="utf-8")
    with snippets.open(str(path), encoding="utf-8", indexable=True) as file:
        assert [line.strip() for line in file] == ["一", "二"]
    assert snippets.open is data.TextFile is not builtins.open
