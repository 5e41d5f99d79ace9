"""The corpus as batches for a T5."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.data import (
    PseudoSummaryGenerator,
    TextFile,
    pseudo_summary,
    summary_chunks,
)
from bert4keras_ext.tokenizers import Tokenizer, t5_pegasus_tokenizer
from tests.shared import shared

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天地玄黄宇宙洪荒日月。"]
TOKENIZER = Tokenizer({name: i for i, name in enumerate(NAMES)})
ENCODER, DECODER = "Encoder-Input-Token", "Decoder-Input-Token"
SMALL = {"sentence_length": 6, "chunk_length": 30, "multiple": 8}


def some_texts(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        "".join("".join(rng.choice(NAMES[4:-1], 4)) + "。" for _ in range(rng.integers(1, 14)))
        for _ in range(count)
    ]


def generator(texts, tokenizer=TOKENIZER, **kwargs):
    return PseudoSummaryGenerator(texts, tokenizer, **{"batch_size": 4, **SMALL, **kwargs})


def unpadded(batch):
    """[(source ids, decoder's input, labels)] without padding."""
    inputs, labels = batch
    rows = zip(inputs[ENCODER], inputs[DECODER], labels)
    return [tuple(row[row > 0].tolist() for row in triple) for triple in rows]


def expected_rows(texts, tokenizer=TOKENIZER, source_maxlen=384, target_maxlen=128):
    rows = []
    for text in texts:
        for chunk in summary_chunks(text, 6, 30):
            source, target = pseudo_summary(chunk)
            target = tokenizer.encode(target, maxlen=target_maxlen)[0]
            rows.append(
                (tokenizer.encode(source, maxlen=source_maxlen)[0], target[:-1], target[1:])
            )
    return rows


def test_in_order_by_the_definition():
    texts = some_texts(20)
    batches = list(generator(texts))
    rows = [row for batch in batches for row in unpadded(batch)]
    assert rows == expected_rows(texts) and len(rows) > 20
    for inputs, labels in batches:
        assert inputs[DECODER].shape == labels.shape and labels.dtype == np.int32
        assert all(array.shape[1] % 8 == 0 for array in (*inputs.values(), labels))
        # Padded alike, so the decoder's mask fits the labels.
        assert ((inputs[DECODER] > 0) == (labels > 0)).all()
        assert (inputs[DECODER][:, 1:] == np.where(labels == 3, 0, labels)[:, :-1]).all()
    assert [len(labels) for _, labels in batches[:-1]] == [4] * (len(batches) - 1)


def test_lengths_are_cut():
    texts = some_texts(10)
    sizes = {"source_maxlen": 9, "target_maxlen": 5}
    rows = [row for batch in generator(texts, **sizes, chunk_length=30) for row in unpadded(batch)]
    assert rows == expected_rows(texts, **sizes)
    assert {len(row[1]) for row in rows} == {4} and max(len(row[0]) for row in rows) == 9
    assert all(row[2][-1] == 3 for row in rows)


def test_default_sizes():
    train = PseudoSummaryGenerator([], TOKENIZER)
    assert (train.source_maxlen, train.target_maxlen, train.chunk_length) == (384, 128, 768)
    assert (
        PseudoSummaryGenerator([], TOKENIZER, source_maxlen=96, target_maxlen=32).chunk_length
        == 192
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 5), st.sampled_from([1, 7, 100]), st.booleans())
def test_random_passes_hold_the_same_rows(seed, buffer_size, is_stream):
    texts = some_texts(15)
    data = _Stream(texts) if is_stream else texts
    train = generator(data, seed=seed, buffer_size=buffer_size, window=2)
    rows = [row for batch in train.__iter__(random=True) for row in unpadded(batch)]
    assert sorted(rows) == sorted(expected_rows(texts))
    if not is_stream or buffer_size > 1:
        assert rows != expected_rows(texts)


class _Stream:
    def __init__(self, texts):
        self.texts = texts

    def __iter__(self):
        return iter(self.texts)


def first_rows(train, count=12, initial_epoch=0):
    stream = train.forfit(initial_epoch=initial_epoch)
    return [unpadded(next(stream)) for _ in range(count)]


def test_seeds_and_epochs():
    texts = some_texts(12)
    passes = len(list(generator(texts)))
    first = first_rows(generator(texts, seed=3), 3 * passes)
    assert first == first_rows(generator(texts, seed=3), 3 * passes)
    assert first[passes:] == first_rows(generator(texts, seed=3), 2 * passes, initial_epoch=1)
    assert first[:passes] != first[passes : 2 * passes]
    assert first != first_rows(generator(texts, seed=4), 3 * passes)
    np.random.seed(1)
    unseeded = first_rows(generator(texts))
    np.random.seed(1)
    assert first_rows(generator(texts)) == unseeded


def test_processes_give_the_same_batches():
    texts = some_texts(30)
    alone = first_rows(generator(texts, seed=3), 30)
    assert first_rows(generator(texts, seed=3, workers=2), 30) == alone


def test_similar_lengths_share_a_batch():
    texts = some_texts(300)

    def padding(**kwargs):
        batches = list(generator(texts, seed=0, multiple=1, **kwargs).__iter__(random=True))
        return sum((inputs[ENCODER] == 0).sum() for inputs, _ in batches)

    assert padding(window=50) < padding(window=1) / 2


def test_whole_target_for_losses_that_shift():
    texts = some_texts(5)
    batches = list(generator(texts, shift=False))
    assert all(len(batch) == 1 for batch in batches)
    rows = [row[row > 0].tolist() for (inputs,) in batches for row in inputs[DECODER]]
    assert rows == [[*row[1], row[2][-1]] for row in expected_rows(texts)]


def test_without_a_start_token_the_decoder_starts_with_the_pad():
    tokenizer = Tokenizer(TOKENIZER._token_dict, token_start=None)
    inputs, labels = next(iter(generator(some_texts(5), tokenizer, target_maxlen=4)))
    assert (inputs[DECODER][:, 0] == 0).all() and (inputs[DECODER][:, 1:3] > 3).all()
    assert (labels[:, 0] > 3).all() and (labels[:, 2] == 3).all() and (labels[:, 3:] == 0).all()
    assert (inputs[ENCODER][:, 0] > 3).all()


def test_other_pads():
    names = ["[UNK]", "[CLS]", "[SEP]", *NAMES[4:], "[PAD]"]
    tokenizer = Tokenizer({name: i for i, name in enumerate(names)})
    inputs, labels = next(iter(generator(some_texts(5), tokenizer)))
    assert labels[0, -1] == inputs[ENCODER][0, -1] == len(names) - 1


def test_text_files(tmp_path):
    texts = some_texts(9)
    (tmp_path / "corpus.txt").write_text("\n".join(texts), encoding="utf-8")
    with TextFile(tmp_path / "corpus.txt", indexable=True) as corpus:
        rows = [row for batch in generator(corpus) for row in unpadded(batch)]
        assert rows == expected_rows(texts)
        shuffled = generator(corpus, seed=0).__iter__(random=True)
        assert sorted(row for batch in shuffled for row in unpadded(batch)) == sorted(rows)


def tiny_t5(vocab_size):
    """The least that has T5's inputs: the target's embeddings look at the source's."""
    source = keras.Input((None,), dtype="int32", name=ENCODER)
    target = keras.Input((None,), dtype="int32", name=DECODER)
    embedding = keras.layers.Embedding(vocab_size, 8, mask_zero=True)
    x = keras.layers.Attention()([embedding(target), embedding(source)])
    x = keras.layers.Dense(vocab_size)(keras.layers.Dense(8)(x))
    model = keras.Model([source, target], x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    return model


@pytest.mark.parametrize("workers", [0, 2])
def test_dataset_trains_a_model(workers):
    train = generator(some_texts(16), seed=0, workers=workers)
    dataset = train.to_dataset()
    inputs, labels = dataset.element_spec
    assert {name: spec.shape.as_list() for name, spec in inputs.items()} == {
        ENCODER: [None, None], DECODER: [None, None]
    }  # fmt: skip
    assert labels.dtype == "int32" and labels.shape.as_list() == [None, None]
    model = tiny_t5(len(NAMES))
    history = model.fit(dataset, steps_per_epoch=8, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    valid = generator(some_texts(16)).to_dataset(random=False, repeat=False)
    assert np.isfinite(model.evaluate(valid, verbose=0))
    with pytest.raises(TypeError, match="pass steps_per_epoch"):
        len(train)


def test_padding_leaves_the_loss_alone():
    """By the decoder's mask: no sample weights are needed."""
    texts = some_texts(3)
    model = tiny_t5(len(NAMES))
    short = generator(texts, multiple=1, batch_size=64).to_dataset(random=False, repeat=False)
    long = generator(texts, multiple=64, batch_size=64).to_dataset(random=False, repeat=False)
    # float32: a mean over some hundred terms of order 1.
    assert model.evaluate(short, verbose=0) == pytest.approx(
        model.evaluate(long, verbose=0), rel=1e-5
    )


def test_real_corpus():
    pytest.importorskip("jieba")
    path = shared("data", "corpus", "CLUECorpusSmall_sampled.txt")
    tokenizer = t5_pegasus_tokenizer(shared("data", "vocab", "t5_pegasus_vocab_50000.txt"))
    with TextFile(path, indexable=True) as corpus:
        train = PseudoSummaryGenerator(corpus[:200], tokenizer, batch_size=16, seed=0)
        batches = list(train.__iter__(random=True))
    for inputs, labels in batches:
        assert inputs[ENCODER].shape[1] <= 384 and labels.shape[1] <= 128
        assert (inputs[ENCODER][:, 0] == 101).all() and (inputs[DECODER][:, 0] == 101).all()
        assert ((labels == 102).sum(1) == 1).all()
    assert sum(len(labels) for _, labels in batches) > 60


@pytest.mark.parametrize(
    "data, options, error, message",
    [
        ("天。", {}, TypeError, "found one str"),
        ([], {"min_sentences": 1}, ValueError, "at least 2"),
        ([], {"target_maxlen": 2}, ValueError, "target_maxlen: expected at least 3"),
        ([], {"batch_size": 0}, ValueError, "batch_size"),
    ],
)
def test_wrong_arguments(data, options, error, message):
    with pytest.raises(error, match=message):
        generator(data, **options)


def test_no_chunks_at_all():
    with pytest.raises(ValueError, match="yielded no batch"):
        next(generator(["天。"]).forfit())
