import builtins

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


def test_open_is_the_text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("一\n二\n", encoding="utf-8")
    with snippets.open(str(path), encoding="utf-8", indexable=True) as file:
        assert [line.strip() for line in file] == ["一", "二"]
    assert snippets.open is data.TextFile is not builtins.open
