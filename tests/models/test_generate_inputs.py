"""What generation takes: rows in every form that users have them, and texts."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.models import build_transformer_model, generate
from bert4keras_ext.tokenizers import SpTokenizer, Tokenizer
from tests.models.families import BASE
from tests.models.generation_cases import builder_of, plain_logits, spread
from tests.shared import oracle

ROWS, ZEROS = [[5, 6, 7], [8, 9]], [[0, 0, 0], [0, 0]]
PADDED = np.array([[5, 6, 7], [8, 9, 0]])
STEPS = 4
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"今天气很好明我们去公园玩吧", "ab", "##c"]


@pytest.fixture(scope="module")
def unilm():
    builder = builder_of("bert-unilm", num_hidden_layers=1)
    return builder, builder.generate(ROWS, max_new_tokens=STEPS)


FORMS = {
    "rows": ROWS,
    "tuples as rows": [(5, 6, 7), (8, 9)],
    "lists and tuples": [[5, 6, 7], (8, 9)],
    "arrays as rows": [np.array(row) for row in ROWS],
    "an iterator": lambda: iter(ROWS),
    "pairs": [([5, 6, 7], [0, 0, 0]), ([8, 9], [0, 0])],
    "pairs as lists": [[[5, 6, 7], [0, 0, 0]], [[8, 9], [0, 0]]],
    "a pair of lists of rows": (ROWS, ZEROS),
    "a padded array": PADDED,
    "a padded list": PADDED.tolist(),
    "a tensor": lambda: ops.convert_to_tensor(PADDED),
    "a pair of arrays": (PADDED, 0 * PADDED),
    "a list of arrays": [PADDED, 0 * PADDED],
    "a dict": {"Input-Token": ROWS},
    "a dict of arrays": {"Input-Token": PADDED, "Input-Segment": 0 * PADDED},
    "a dict of rows": {"Input-Token": ROWS, "Input-Segment": ZEROS},
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_rows(unilm, form):
    builder, wanted = unilm
    inputs = FORMS[form]() if callable(FORMS[form]) else FORMS[form]
    assert builder.generate(inputs, max_new_tokens=STEPS) == wanted


def test_one_row(unilm):
    builder, wanted = unilm
    for inputs in ([5, 6, 7], ([5, 6, 7], [0, 0, 0]), np.array([5, 6, 7])):
        assert generate(builder.model, inputs, max_new_tokens=STEPS) == wanted[:1]


def test_no_rows(unilm):
    builder, _ = unilm
    for inputs in ([], (), {"Input-Token": []}, np.zeros((0, 3), "int32")):
        assert builder.generate(inputs) == []
    assert builder.generate([], return_scores=True) == ([], [])
    assert builder.generate([], votes=[]) == [] and list(builder.stream([])) == []


def test_segments_of_the_prompt_matter(unilm):
    builder, _ = unilm
    segments = [0, 0, 1]
    (found,) = builder.generate([([5, 6, 7], segments)], max_new_tokens=STEPS)
    wanted = plain_logits(builder, [5, 6, 7], found[:-1], segments).argmax(-1).tolist()
    assert found == wanted
    scores = [
        builder.generate([([5, 6, 7], s)], max_new_tokens=STEPS, return_scores=True)[1][0]
        for s in (segments, [0, 0, 0])
    ]
    assert abs(scores[0] - scores[1]) > 1e-4


def tokenizer_of_words():
    return Tokenizer({word: i for i, word in enumerate(WORDS)})


def test_texts(unilm):
    builder, _ = unilm
    tokenizer = tokenizer_of_words()
    size = tokenizer.vocab_size
    small = build_transformer_model(
        {**BASE, "vocab_size": size, "num_hidden_layers": 1}, application="unilm",
        return_keras_model=False, with_mlm="linear",
    )  # fmt: skip
    spread(small.model)
    texts = ["今天天气很好", "ab"]
    rows = [tokenizer.encode(text)[0] for text in texts]
    ids = small.generate(rows, max_new_tokens=6, end_id=tokenizer._token_end_id)
    wanted = [tokenizer.decode(row) for row in ids]
    shared = dict(max_new_tokens=6, tokenizer=tokenizer)
    assert small.generate(texts, **shared) == small.generate(tuple(texts), **shared) == wanted
    assert small.generate(texts[0], **shared) == wanted[:1]
    assert small.generate({"Input-Token": texts}, **shared) == wanted
    assert small.generate(tokenizer.encode_batch(texts), **shared) == wanted
    assert "".join(small.stream(texts[0], **shared)) == wanted[0]
    pieces = list(small.stream(texts, **shared))
    assert ["".join(row[i] or "" for row in pieces) for i in range(2)] == wanted
    with pytest.raises(ValueError, match="texts need the tokenizer"):
        small.generate(texts)
    with pytest.raises(TypeError, match="expected texts alone"):
        small.generate([texts[0], [5, 6]], tokenizer=tokenizer)


def small_t5(vocab_size):
    config = {**BASE, "vocab_size": vocab_size, "num_hidden_layers": 1}
    config |= dict(hidden_act=["gelu", "linear"], attention_head_size=8, with_lm="linear")
    builder = build_transformer_model(config, model="mt5.1.1", return_keras_model=False)
    spread(builder.model)
    return builder


@pytest.mark.exhaustive
def test_t5_starts_from_the_start_token_of_bert_s_vocabulary():
    """T5-PEGASUS; an mT5 from token 0."""
    tokenizer = tokenizer_of_words()
    builder = small_t5(tokenizer.vocab_size)
    row = tokenizer.encode("今天天气")[0]
    settings = dict(max_new_tokens=5, end_id=tokenizer._token_end_id)
    pegasus, mt5 = (builder.generate([row], start_id=i, **settings) for i in (2, 0))
    assert builder.generate([row], **settings) == mt5 != pegasus
    found = builder.generate(["今天天气"], max_new_tokens=5, tokenizer=tokenizer)
    assert found == [tokenizer.decode(pegasus[0])]


@pytest.mark.exhaustive
def test_t5_goes_on_from_a_prefix():
    builder = small_t5(40)
    whole = builder.generate([[5, 6, 7]], max_new_tokens=6)[0]
    prefix = [0, *whole[:2]]
    named = {"Encoder-Input-Token": [[5, 6, 7]], "Decoder-Input-Token": [prefix]}
    for inputs in ([([5, 6, 7], prefix)], ([[5, 6, 7]], [prefix]), named):
        assert builder.generate(inputs, max_new_tokens=4) == [whole[2:]]


@pytest.mark.exhaustive
def test_texts_with_sentencepiece():
    tokenizer = SpTokenizer(oracle("bert4keras", "sp", "sp.model"), token_start=None,
                            token_end="</s>")  # fmt: skip
    builder = small_t5(tokenizer.vocab_size)
    ids = builder.generate([tokenizer.encode("hello")[0]], max_new_tokens=5, end_id=1)
    found = builder.generate(["hello"], max_new_tokens=5, tokenizer=tokenizer)
    assert found == [tokenizer.decode(ids[0])]
    assert "".join(builder.stream("hello", max_new_tokens=5, tokenizer=tokenizer)) == found[0]


@pytest.mark.exhaustive
def test_a_language_model_goes_on_from_a_text_without_its_end():
    tokenizer = tokenizer_of_words()
    config = {**BASE, "vocab_size": tokenizer.vocab_size, "type_vocab_size": 0}
    builder = build_transformer_model(config, model="gpt", with_lm="linear",
                                      return_keras_model=False)  # fmt: skip
    spread(builder.model)
    row = tokenizer.encode("今天")[0][:-1]
    ids = builder.generate([row], max_new_tokens=5, end_id=tokenizer._token_end_id)
    found = builder.generate(["今天"], max_new_tokens=5, tokenizer=tokenizer)
    assert found == [tokenizer.decode(ids[0])]
