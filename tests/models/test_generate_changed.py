"""Models that were saved, cloned, changed or wrapped generate too, or say clearly why not."""

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import Dense
from bert4keras_ext.models import add_step_rule, build_transformer_model, generate
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.step_rules import _RULES
from tests.models.families import BASE, build
from tests.models.generation_cases import Steered, builder_of, plain_logits, spread
from tests.sweeps import some_of

ROWS, STEPS = [[5, 6, 7, 4], [8, 9]], 6


def small(name="bert-unilm", **kwargs):
    return builder_of(name, num_hidden_layers=1, **kwargs)


def write(model, **settings):
    return generate(model, ROWS, max_new_tokens=STEPS, **settings)


def check_is_plain(builder, texts):
    for prompt, text in zip(ROWS, texts):
        wanted = plain_logits(builder, prompt, text[:-1])
        wanted[:, 0] = -np.inf
        assert text == wanted.argmax(-1).tolist()


SAVED = ("bert-unilm", "t5.1.1", "gpt2", "modernbert-lm", "deberta_v2-lm", "xlm_roberta-lm",
         "gau_alpha-unilm", "nezha-lm", "roformer-positions", "bert-probabilities")  # fmt: skip


@pytest.mark.parametrize("name", some_of(SAVED, "t5.1.1"))
def test_saved_and_loaded(name, tmp_path):
    builder = small(name)
    builder.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    steered = Steered(builder, STEPS, 2)
    assert write(loaded, processors=steered) == write(builder, processors=steered)


@pytest.mark.exhaustive
def test_cloned():
    builder = small()
    clone = keras.models.clone_model(builder.model)
    clone.set_weights(builder.model.get_weights())
    assert write(clone) == write(builder)


def test_changed_weights_are_seen():
    builder = small("gpt2")
    first = write(builder)
    spread(builder.model, seed=1)
    second = write(builder)
    assert first != second
    fresh = small("gpt2")
    fresh.model.set_weights(builder.model.get_weights())
    assert write(fresh) == second


@pytest.mark.exhaustive
def test_training_is_seen():
    builder = small("gpt2")
    first = write(builder)
    builder.model.compile(keras.optimizers.Adam(0.3), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).integers(4, 40, (8, 6))
    builder.model.fit(x, x, epochs=2, verbose=0)
    assert write(builder) != first
    check_is_plain(builder, write(builder, processors=Steered(builder, STEPS, 2, scale=1e-9)))


@pytest.mark.parametrize("before", some_of([True, False], True))
def test_lora(before):
    """No stale program goes on without it."""
    builder = small()
    steered = Steered(builder, STEPS, 2, scale=1e-9)
    first = write(builder, processors=steered) if before else None
    for name in ("q", "k", "v", "o"):
        dense = getattr(builder.layers["Transformer-0-MultiHeadSelfAttention"], name)
        dense.enable_lora(2)
        dense.lora_kernel_b.assign(np.random.default_rng(3).normal(0, 3, dense.lora_kernel_b.shape))
    texts = write(builder, processors=steered)
    assert texts != first
    check_is_plain(builder, texts)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_quantized():
    """Rounding to whole numbers may turn on float noise: logits are compared, not ids."""
    builder = small()
    steered = Steered(builder, STEPS, 2)
    write(builder, processors=steered)
    exact = np.array(steered.seen)
    builder.model.quantize("int8")
    texts = write(builder, processors=steered)
    for row in range(2):
        wanted = plain_logits(builder, ROWS[row], texts[row][:-1])
        assert np.abs(steered.seen[:, row, 0] - wanted).max() < 0.05 * np.abs(wanted).max()
    assert 0 < np.abs(np.array(steered.seen)[0] - exact[0]).max() < 0.2 * np.abs(exact).max()


def test_condition_of_the_norms():
    condition = keras.Input((3,), name="Condition")
    builder = small("bert-lm", layer_norm_cond=condition, additional_input_layers=condition)
    values = np.random.default_rng(0).normal(size=(2, 3))
    inputs = {"Input-Token": ROWS, "Condition": values}
    settings = dict(max_new_tokens=STEPS, return_scores=True)
    texts, scores = builder.generate(inputs, **settings)
    alone = {"Input-Token": ROWS[1:], "Condition": values[1:]}
    assert builder.generate(alone, **settings)[0] == texts[1:]
    _, other = builder.generate({**inputs, "Condition": -values}, **settings)
    assert np.abs(np.subtract(scores, other)).min() > 1e-3
    with pytest.raises(ValueError, match=r"further inputs, \['Condition'\]: pass all of them by"):
        builder.generate(ROWS)


@pytest.mark.exhaustive
def test_condition_is_the_whole_model_s():
    condition = keras.Input((3,), name="Condition")
    for name in ("gpt2", "t5.1.1", "roformer_v2-unilm"):
        builder = small(name, layer_norm_cond=condition, additional_input_layers=condition)
        values = np.random.default_rng(0).normal(size=(2, 3))
        key = "Encoder-Input-Token" if name.startswith("t5") else "Input-Token"
        inputs, steered = {key: ROWS, "Condition": values}, Steered(builder, STEPS, 2)
        settings = dict(max_new_tokens=STEPS, processors=steered)
        assert builder.generate(inputs, **settings) == builder.generate(
            inputs, cache=False, **settings
        )


@pytest.mark.exhaustive
def test_wrapped():
    builder = small()
    model, wanted = builder.model, write(builder)
    two = keras.Model(model.inputs, [keras.layers.Dense(3)(model.output), model.output])
    assert write(two) == wanted
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in ("a", "b")]
    assert write(keras.Model(inputs, model(inputs))) == wanted
    twice = keras.Model(inputs, keras.Model(inputs, model(inputs), name="inner")(inputs))
    assert write(twice) == wanted
    head = keras.Model(model.inputs, Dense(40)(model.output))
    steered = Steered(builder, STEPS, 2)
    assert write(head, processors=steered) == write(head, processors=steered, cache=False)


@pytest.mark.exhaustive
def test_two_heads():
    """SimBERT's."""
    builder = small(with_pool="linear")
    assert len(builder.model.outputs) == 2
    steered = Steered(builder, STEPS, 2)
    found = write(builder, processors=steered)
    assert found == write(keras.Model(builder.model.inputs, builder.output[1]), processors=steered)


@pytest.mark.exhaustive
def test_decoder_of_a_t5_alone():
    builder = builder_of("t5.1.1")
    source = np.array([[5, 6, 7], [8, 9, 4]])
    states = builder.encoder.predict(source, verbose=0)
    inputs = {"Input-Token": [[0], [0]], "Input-Context": states}
    assert generate(builder.decoder, inputs, max_new_tokens=STEPS) == builder.generate(
        source, max_new_tokens=STEPS
    )


class Scaled(keras.layers.Layer):
    """Of each token alone; it passes no mask on."""

    def call(self, inputs):
        return ops.tanh(inputs) * 1.5


class WithMoreLayers(BERT):
    def apply_main_layers(self, inputs, index):
        x = super().apply_main_layers(inputs, index)
        y = self.apply(x, keras.layers.Dense, units=self.hidden_size, name=f"More-{index}")
        y = self.apply(y, Scaled, name=f"Scaled-{index}")
        return self.apply([x, y], keras.layers.Add, name=f"Sum-{index}")


class WithConvolution(BERT):
    def apply_main_layers(self, inputs, index):
        x = super().apply_main_layers(inputs, index)
        return self.apply(x, keras.layers.Conv1D, filters=self.hidden_size, kernel_size=3,
                          padding="causal", name=f"Mixing-{index}")  # fmt: skip


class EveryOther(keras.layers.Layer):
    """A mask: the tokens at even distances."""

    def call(self, inputs):
        places = ops.arange(ops.shape(inputs)[1])
        distance = places[:, None] - places[None]
        return ops.logical_and(distance >= 0, distance % 2 == 0)[None]


class WithMask(BERT):
    def compute_attention_bias(self, inputs=None):
        return self.apply(self.tokens, EveryOther, name="My-Mask")


def of_class(cls, **kwargs):
    builder = build_transformer_model({**BASE}, model=cls, return_keras_model=False,
                                      with_mlm="linear", **kwargs)  # fmt: skip
    spread(builder.model)
    return builder


def check_whole(builder):
    steered = Steered(builder, STEPS, 2)
    found = write(builder, processors=steered)
    assert found == write(builder, processors=steered, cache=False)
    rows = [
        (plain_logits(builder, p, t[:-1]) + steered.table).argmax(-1) for p, t in zip(ROWS, found)
    ]
    assert found == [row.tolist() for row in rows]


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Layer 'Scaled:UserWarning")
def test_subclass_with_more_layers():
    check_whole(of_class(WithMoreLayers, application="unilm"))


@pytest.mark.filterwarnings("ignore:Layer 'Mixing:UserWarning")
def test_subclass_that_mixes_tokens():
    builder = of_class(WithConvolution, application="lm")
    message = (
        r"the layer 'Mixing-0' \(Conv1D\) cannot be run a token at a time: its result for a token "
        r"depends on the tokens around it.*add_step_rule.*cache=False"
    )
    with pytest.raises(ValueError, match=message):
        write(builder)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:Layer 'Mixing:UserWarning")
def test_mixing_tokens_without_a_cache():
    builder = of_class(WithConvolution, application="lm")
    steered = Steered(builder, STEPS, 2)
    found = write(builder, processors=steered, cache=False)
    wanted = plain_logits(builder, ROWS[0], found[0][:-1]) + steered.table
    assert found[0] == wanted.argmax(-1).tolist()


@pytest.mark.exhaustive
def test_subclass_with_a_mask_of_its_own():
    builder = of_class(WithMask)
    with pytest.raises(ValueError, match="found the mask of 'My-Mask'.*needs add_step_rule"):
        write(builder)
    add_step_rule(
        EveryOther,
        lambda run, call, arguments: (run.places[:, :, None] - run.key_places[:, None]) % 2 == 0,
    )
    try:
        check_whole(builder)
    finally:
        del _RULES[EveryOther]


class NotFunctional(keras.Model):
    def __init__(self):
        super().__init__()
        self.table, self.head = keras.layers.Embedding(9, 4), keras.layers.Dense(9)

    def call(self, inputs):
        return self.head(self.table(inputs))


HEADLESS = r"expected one output \(batch, length, 40\) that predicts tokens, found the outputs"
REFUSED = {
    "bidirectional": (lambda: build("bert"), "looks at tokens that come later.*found no mask"),
    "gated": (lambda: build("gau_alpha"), "'Transformer-0-GatedAttentionUnit' looks at tokens"),
    "no head": (lambda: build("bert", application="lm", with_mlm=False), HEADLESS),
    "states": (lambda: build("gpt", with_lm=False), HEADLESS),
    "encoder": (lambda: build("t5.1.1_encoder"), HEADLESS),
    "electra": (lambda: build("electra"), HEADLESS),
    "subclassed": (NotFunctional, "is a NotFunctional: expected.*AutoRegressiveDecoder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_cannot(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        write(make())
    if name not in ("bidirectional", "gated"):  # these may predict all the same, as masked models
        with pytest.raises(ValueError, match=message):
            write(make(), cache=False)


def test_sequences_before_the_keys_are_refused():
    """A language model's mask has no places for them, in the plain model either."""
    cached = keras.Input((None, 16), name="Cached")
    name = "Transformer-0-MultiHeadSelfAttention"
    builder = build("bert", application="lm", attention_caches={name: [cached, cached]},
                    additional_input_layers=cached)  # fmt: skip
    with pytest.raises(ValueError, match=f"{name}-Cached-Key.*cannot be run a token at a time"):
        builder.generate({"Input-Token": ROWS, "Cached": np.zeros((2, 3, 16))})
