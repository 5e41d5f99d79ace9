"""Keywords that nobody knows fail, and name the nearest known one; keys of config files do not."""

import json

import pytest

from bert4keras_ext.models import BERT, Transformer, build_transformer_model
from bert4keras_ext.models.config import builder_arguments, keywords_of
from bert4keras_ext.models.registry import HUGGING_FACE_TYPES, find_model, model_of_type
from bert4keras_ext.snippets import insert_arguments
from tests.models.families import BASE, FAMILIES
from tests.shared import oracle

CHINESE_BERT = {
    "directionality": "bidi",
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
}
OF_OTHERS = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "classifier_dropout": None,
    "initializer_range": 0.02,
    "mask_token_id": 103,
    "num_labels": 2,
    "sent_type_vocab_size": 4,
    "sep_token_id": 102,
    "task_type_vocab_size": 3,
    "use_relative_position": True,
}


@pytest.mark.parametrize(
    "typo, meant",
    [
        ("checkpoint", "checkpoint_path"),
        ("config", "config_path"),
        ("models", "model"),
        ("aplication", "application"),
        ("return_model", "return_keras_model"),
        ("with_mml", "with_mlm"),
        ("mlm", "with_mlm"),
        ("WITH-MLM", "with_mlm"),
        ("dropout", "dropout_rate"),
        ("hidden_dropout", "hidden_dropout_prob"),
        ("hidden_layers", "num_hidden_layers"),
        ("autoresize", "autoresize_weights"),
        ("ignore_invalid_weight", "ignore_invalid_weights"),
        ("keep_token", "keep_tokens"),
        ("layer_norm_con", "layer_norm_cond"),
        ("additional_inputs", "additional_input_layers"),
    ],
)
def test_the_nearest_keyword_is_named(typo, meant):
    with pytest.raises(TypeError, match=f"unknown keyword '{typo}': did you mean '{meant}'"):
        build_transformer_model(BASE, **{typo: None})


@pytest.mark.parametrize("application", ["encoder", "lm", "unilm"])
@pytest.mark.parametrize("model", FAMILIES)
def test_no_family_swallows_a_keyword(model, application):
    # DeBERTa's convolution is for encoders only.
    config = {**BASE, **FAMILIES[model], "conv_kernel_size": 0, "no_key_of_ours": 1}
    arguments = dict(model=model, application=application)
    try:
        build_transformer_model({**config, "num_hidden_layers": 1}, **arguments)
    except ValueError as error:
        assert "cannot be built as" in str(error) or "segment ids" in str(error)
        return
    with pytest.raises(TypeError, match="'xyzzy'"):
        build_transformer_model(config, **arguments, xyzzy=None)
    with pytest.raises(TypeError, match="'no_key_of_ours'"):
        build_transformer_model(config, **arguments, no_key_of_ours=2)


def test_several_are_named_at_once():
    with pytest.raises(TypeError, match="'with_mml'.*'with_mlm'.*; .*'xyzzy'"):
        build_transformer_model(BASE, with_mml=True, xyzzy=1)


def test_a_misspelt_size_is_named_before_the_one_that_is_missing():
    config = {k: v for k, v in BASE.items() if k != "hidden_size"}
    with pytest.raises(TypeError, match="'hiden_size': did you mean 'hidden_size'"):
        build_transformer_model(**config, hiden_size=16)


@pytest.mark.parametrize("old, new", [("keep_words", "keep_tokens"), ("albert", "model='albert'")])
def test_old_keywords_name_the_new_ones(old, new):
    with pytest.raises(TypeError, match=f"'{old}': it is {new}"):
        build_transformer_model(BASE, **{old: True})
    with pytest.raises(ValueError, match="received 'seq2seq' .'unilm' is"):
        build_transformer_model(BASE, application="seq2seq")


def test_keywords_of_other_families():
    for key, value in [("max_relative_position", 8), ("use_bias", False), ("num_labels", 3)]:
        with pytest.raises(TypeError, match=f"unknown keyword '{key}'"):
            build_transformer_model(BASE, **{key: value})
    with pytest.raises(TypeError, match="unknown keyword 'max_position'"):
        build_transformer_model(BASE, model="t5.1.0", max_position=9)
    assert build_transformer_model(BASE, model="t5.1.0", with_pool=False, with_nsp=None)


def test_the_builder_itself_and_its_build():
    sizes = {key: BASE[key] for key in list(BASE)[:6]}
    with pytest.raises(TypeError, match="'with_mml': did you mean 'with_mlm'"):
        BERT(max_position=8, **sizes, with_mml=True)
    builder = BERT(max_position=8, **sizes)
    with pytest.raises(TypeError, match="'layer_norm_con': did you mean 'layer_norm_cond'"):
        builder.build(layer_norm_con=None)


@pytest.mark.parametrize("model", ["bert", "albert", "nezha", "ernie", "electra", "t5.1.0"])
def test_a_published_config_given_as_keywords_is_as_good_as_a_dict(model):
    config = {**BASE, **FAMILIES[model], **CHINESE_BERT, **OF_OTHERS}
    from_dict = build_transformer_model(config, model=model)
    assert build_transformer_model(**config, model=model).output_shape == from_dict.output_shape
    with pytest.raises(TypeError, match="'pooler_num_attention_head': did you mean"):
        build_transformer_model(**config, model=model, pooler_num_attention_head=1)


def published_configs():
    for path in sorted(oracle("hf").glob("*/config.json")):
        config = json.loads(path.read_text())
        if config["model_type"] in HUGGING_FACE_TYPES:
            yield pytest.param(config, id=path.parent.name)


@pytest.mark.parametrize("config", list(published_configs()))
def test_every_key_of_hugging_faces_configs_is_welcome(config):
    cls = find_model(model_of_type(config["model_type"], config))
    of_build = keywords_of(cls, "build") - keywords_of(cls, "__init__")
    assert cls(**builder_arguments(cls, {}, config, of_build, None))
    with pytest.raises(TypeError, match="'xyzzy'"):
        cls(**builder_arguments(cls, {}, {**config, "xyzzy": None}, of_build, None))


def test_a_config_as_keywords_tells_its_model():
    config = {**BASE, "model_type": "nezha", "is_decoder": True, "max_relative_position": 3}
    builder = build_transformer_model(**config, return_keras_model=False)
    assert builder.family == "nezha" and builder.max_relative_position == 3
    assert builder.compute_attention_bias() is not None


def test_files_may_hold_any_key(tmp_path):
    config = {**BASE, "checkpoint": "x", "with_mml": True, "aplication": "unilm"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert build_transformer_model(tmp_path / "config.json").output_shape[-1] == 16


class Named(BERT):
    def __init__(self, alpha=1, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha


class Popped(BERT):
    def __init__(self, **kwargs):
        self.alpha = kwargs.pop("alpha", 1)
        super().__init__(**kwargs)


class Inserted(BERT):
    @insert_arguments(alpha=1)
    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class AtBuild(BERT):
    def build(self, alpha=1, **kwargs):
        self.alpha = alpha
        super().build(**kwargs)


class InConfig(BERT):
    @classmethod
    def adapt_config(cls, config):
        return {**super().adapt_config(config), "prefix": config.get("alpha", "")}

    @property
    def alpha(self):
        return self.prefix


class InAdapted(InConfig):
    @classmethod
    def adapt_config(cls, config):
        known = dict(super().adapt_config({}), **BERT.adapt_config(config))
        return {**known, "prefix": known.get("alpha", "")}


@pytest.mark.parametrize("application", ["encoder", "unilm"])
@pytest.mark.parametrize("cls", [Named, Popped, Inserted, AtBuild, InConfig, InAdapted])
def test_keywords_of_a_users_subclass(cls, application):
    arguments = dict(model=cls, application=application, return_keras_model=False)
    config = {**BASE, "initializer_range": 0.02}
    assert build_transformer_model(config, **arguments, alpha="a-").alpha == "a-"
    with pytest.raises(TypeError, match="unknown keyword 'alhpa'"):
        build_transformer_model(config, **arguments, alhpa="a-")


class Plain(Transformer):
    """A family without BERT's heads."""

    def get_inputs(self):
        return [self.apply_input("Input-Token")]

    def apply_embeddings(self, inputs):
        self.tokens = inputs[0]
        return self.apply_token_embedding(inputs[0])

    def apply_final_layers(self, inputs):
        return inputs


def test_a_family_without_heads_may_be_a_language_model():
    assert build_transformer_model(BASE, model=Plain, application="lm").output_shape[-1] == 16
    with pytest.raises(TypeError, match="unknown keyword 'with_mlm'"):
        build_transformer_model(BASE, model=Plain, application="lm", with_mlm=True)
