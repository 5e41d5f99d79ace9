"""Writing texts token by token: ways to search, processors of logits, constraints and voting.

Nothing here knows a model; ``bert4keras_ext.models.generate`` brings both together.
"""

from bert4keras_ext.generation.beam import BeamSearch
from bert4keras_ext.generation.constraints import ExtractiveNgrams
from bert4keras_ext.generation.decoder import AutoRegressiveDecoder
from bert4keras_ext.generation.last_token import last_token
from bert4keras_ext.generation.prefix_tree import PrefixTree
from bert4keras_ext.generation.processors import (
    ForbiddenTokens,
    MinNewTokens,
    NoRepeatNgram,
    RepetitionPenalty,
)
from bert4keras_ext.generation.sampling import GreedySearch, Sampling
from bert4keras_ext.generation.search import Generated, Search, advance, begin
from bert4keras_ext.generation.voting import Votes

__all__ = [
    "AutoRegressiveDecoder",
    "BeamSearch",
    "ExtractiveNgrams",
    "ForbiddenTokens",
    "Generated",
    "GreedySearch",
    "MinNewTokens",
    "NoRepeatNgram",
    "PrefixTree",
    "RepetitionPenalty",
    "Sampling",
    "Search",
    "Votes",
    "advance",
    "begin",
    "last_token",
]
