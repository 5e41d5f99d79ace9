"""ELECTRA: a discriminator that tells replaced tokens, and the generator that replaces them."""

from bert4keras_ext.models.bert import BERT

# What transformers assumes where a config.json is silent. The generator's head has this
# activation there, whatever hidden_act says.
HUGGING_FACE_DEFAULTS = {
    "embedding_size": 128, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "generator_act": "gelu",
}  # fmt: skip


class ELECTRA(BERT):
    """BERT's encoder, trained to tell which tokens were replaced; embeddings may be narrower.

    Args:
        with_discriminator: output for each token the probability that it was replaced; True is
            sigmoid, "linear" gives logits.
        with_mlm: output the generator's predictions of tokens, for the config and checkpoint of a
            generator; True is probabilities, "linear" logits.
        generator_act: activation in the generator's head; None is ``hidden_act``.
        **kwargs: those of BERT. There is no pooler.

    Inputs: as BERT. Outputs: the encoder's states, (batch, length, 1) of the discriminator, or
    (batch, length, vocabulary) of the generator.

    Raises:
        ValueError: when asked for a pooler, or for both networks at once.

    Source: arXiv 2003.10555.
    """

    family = "electra"
    applications = ("encoder",)

    def __init__(self, with_discriminator=False, generator_act=None, **kwargs):
        for key in ("with_pool", "with_nsp"):
            if kwargs.get(key):
                raise ValueError(
                    f"ELECTRA has no pooler: expected no {key}, received {kwargs[key]!r}; take "
                    "the first state with FirstPooling1D()(model.output)"
                )
        super().__init__(**kwargs)
        if with_discriminator and self.with_mlm:
            raise ValueError(
                "with_discriminator and with_mlm are heads of two networks, the discriminator and "
                "the generator: expected one of them; build two models"
            )
        if self.with_mlm:
            self.family = "electra_generator"  # beside the discriminator in a TensorFlow file
        self.with_discriminator = with_discriminator
        self.generator_act = generator_act

    @classmethod
    def adapt_config(cls, config):
        known = super().adapt_config(config)
        if config.get("model_type") == "electra":
            known = {**HUGGING_FACE_DEFAULTS, **known}
        return known

    def apply_final_layers(self, inputs):
        x = super().apply_final_layers(inputs)
        if not self.with_discriminator:
            return x
        x = self.apply_dense(x, self.hidden_size, "Discriminator-Dense", super()._activation())
        activation = "sigmoid" if self.with_discriminator is True else self.with_discriminator
        return self.apply_dense(x, 1, "Discriminator-Prediction", activation, dtype="float32")

    def _activation(self):
        return self.generator_act or super()._activation()
