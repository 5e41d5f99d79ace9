"""``generate``: from prompts to texts, with any model of the builder."""

import inspect

import numpy as np
from tqdm import tqdm

from bert4keras_ext.models.generator import generator_of
from bert4keras_ext.models.prompts import check_positions, check_window, read_prompts
from bert4keras_ext.models.requests import Request

CUT_CHARACTER = "\ufffd"  # what decoding makes of a part of one


def generate(
    model,
    inputs,
    max_new_tokens=32,
    method="greedy",
    topk=None,
    topp=None,
    temperature=1.0,
    end_id=None,
    min_new_tokens=0,
    num_return=1,
    length_penalty=1.0,
    early_stopping=False,
    repetition_penalty=1.0,
    no_repeat_ngram=0,
    processors=(),
    seed=None,
    return_scores=False,
    tokenizer=None,
    start_id=None,
    votes=None,
    batch_size=16,
    progress=None,
    cache=True,
):
    """Goes on writing where prompts end.

    ==========  =================================================================================
    method      what is chosen
    ==========  =================================================================================
    "greedy"    the most probable token each time
    "beam"      the text with the best score of those that a search ``topk`` wide meets (3, if
                None); the score is the sum of log-probabilities / length ** ``length_penalty``,
                where the end token counts
    "sample"    a token drawn from the distribution of the model, of which ``topk`` keeps the most
                probable tokens, and then ``topp`` the fewest whose probabilities reach it
    ==========  =================================================================================

    Args:
        model: the builder (``build_transformer_model(..., return_keras_model=False)``), or a
            functional Keras model: its own, a loaded or changed one. It must predict tokens and
            see none that come later: ``application="unilm"`` or ``"lm"``, a GPT, a T5.
        inputs: rows. A row is a list of ids; a tuple of ids and segments (of a T5: and the ids
            that its decoder starts from); or a text, where there is a tokenizer. Further inputs of
            the model come in a dict, ``{"Input-Token": rows, "condition": values}``. Padding
            around a row is taken off.
        max_new_tokens: the most tokens to write, the end token among them.
        topk, topp, temperature: see the table; temperature 0 makes sampling greedy.
        end_id: token, or list of tokens, that ends a text; None is the tokenizer's, or none.
        min_new_tokens: so many before a text may end.
        num_return: texts for each row, best first (beam) or as drawn (sample).
        length_penalty, early_stopping: of beam search, see generation.BeamSearch.
        repetition_penalty, no_repeat_ngram: see generation.RepetitionPenalty, NoRepeatNgram.
        processors: functions (scores, generated) -> scores; see generation.processors.
        seed: an int makes sampling repeatable: what is drawn for a row depends on it and on the
            row's place among the inputs, not on the other rows, batch_size or max_new_tokens.
        return_scores: also return the scores.
        tokenizer: makes ids of texts, and texts of the new ids.
        start_id: what a T5's decoder starts from; None is the start token of a tokenizer with
            BERT's vocabulary (T5-PEGASUS), else 0.
        votes: list of counts: so many consecutive rows answer together; see generation.Votes.
        batch_size: rows at a time; rows of like lengths go together.
        progress: show a bar; None does where there is more than one batch.
        cache: False calls the whole model for each token: slower, for models that cannot be run a
            token at a time.

    Returns:
        A list with one entry a row: the new ids, without prompt and end token (or the text); with
        ``num_return`` above 1 a list of them; with ``return_scores`` a pair of this and the scores
        in the same form.

    Raises:
        ValueError, TypeError: for settings that exclude each other; rows that are empty, hold ids
            outside of the vocabulary or leave no room for the new tokens; a model that does not
            predict tokens; logits that are NaN.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu")
    >>> unilm = build_transformer_model(config, application="unilm", return_keras_model=False)
    >>> [len(row) for row in unilm.generate([[2, 7, 3], [2, 8, 9, 3]], max_new_tokens=5)]
    [5, 5]
    """
    request = Request(
        max_new_tokens=max_new_tokens, method=method, topk=topk, topp=topp, temperature=temperature,
        end_id=end_id, min_new_tokens=min_new_tokens, num_return=num_return,
        length_penalty=length_penalty, early_stopping=early_stopping,
        repetition_penalty=repetition_penalty, no_repeat_ngram=no_repeat_ngram,
        processors=processors, tokenizer=tokenizer, start_id=start_id, batch_size=batch_size,
    )  # fmt: skip
    generator = generator_of(getattr(model, "model", model), cache)
    prompts = _prompts(generator, inputs, request, votes)
    noise = request.noise(len(prompts) if votes is None else len(votes), seed)
    batches = _batches(prompts, votes, request.batch_size)
    found = [None] * (len(prompts) if votes is None else len(votes))
    with _bar(found, batches, progress) as bar:
        tokens = 0
        for rows, groups in batches:
            counts = None if votes is None else [votes[g] for g in groups]
            results = generator.run([prompts[i] for i in rows], request, groups, counts, noise)
            for group, result in zip(groups, results):
                found[group] = result
            tokens += sum(len(ids) for texts, _ in results for ids in texts)
            bar.update(len(groups))
            bar.set_postfix_str(f"{tokens / max(bar.format_dict['elapsed'], 1e-9):.0f} tokens/s")
    return _answers(found, request, return_scores)


def stream(model, inputs, max_new_tokens=32, **settings):
    """Yields what `generate` writes, token by token.

    Args:
        model, inputs, max_new_tokens: see `generate`; all rows go in one batch.
        **settings: those of `generate`, but for beam search, whose texts change as it goes, and
            what concerns several texts a row.

    Yields:
        For one row the next id (or piece of text); for several a list with one entry a row, None
        where it has ended.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu")
    >>> gpt = build_transformer_model(config, model="gpt", return_keras_model=False)
    >>> len(list(gpt.stream([[2, 7, 3]], max_new_tokens=4)))
    4
    """
    seed, cache = settings.pop("seed", None), settings.pop("cache", True)
    if foreign := set(settings) - set(inspect.signature(Request).parameters):
        raise TypeError(
            f"stream expects the settings of generate but votes, return_scores and progress; "
            f"received {sorted(foreign)}"
        )
    request = Request(max_new_tokens, **settings)
    if request.method == "beam" or request.num_return > 1:
        raise ValueError(
            "stream expects method='greedy' or 'sample' with num_return=1, whose tokens stay; "
            f"received method={request.method!r}, num_return={request.num_return}"
        )
    generator = generator_of(getattr(model, "model", model), cache)
    prompts = _prompts(generator, inputs, request, None)
    if not prompts:
        return iter(())
    noise = request.noise(len(prompts), seed)
    pieces = generator.stream(prompts, request, noise)
    if request.tokenizer is not None:
        pieces = _texts_of(pieces, request.tokenizer, len(prompts))
    return (piece[0] for piece in pieces) if len(prompts) == 1 else pieces


def _texts_of(pieces, tokenizer, rows):
    """What each new token adds to the decoded text: tokens may join and drop spaces.

    The end of a text that is no whole character yet (of SentencePiece's bytes) waits for the next
    token; what waits at the very end comes as it is, in a last piece.
    """
    ids, texts = [[] for _ in range(rows)], [""] * rows

    def added(row, settled):
        text = tokenizer.decode(ids[row])
        text = text.rstrip(CUT_CHARACTER) if settled else text
        new, texts[row] = text[len(texts[row]) :], max(text, texts[row], key=len)
        return new

    for piece in pieces:
        for row, token in enumerate(piece):
            ids[row] += [] if token is None else [token]
        yield [None if token is None else added(row, True) for row, token in enumerate(piece)]
    last = [added(row, False) or None for row in range(rows)]
    if any(last):
        yield last


def _prompts(generator, inputs, request, votes):
    start_id = request.first_of_decoder()
    prompts = read_prompts(inputs, generator.graph, request.tokenizer, start_id)
    request.check_vocabulary(generator.graph.vocabulary)
    check_window(prompts, generator.window, request.max_new_tokens)
    check_positions(prompts, generator.graph, request.max_new_tokens)
    if votes is not None and not isinstance(votes, (list, tuple, np.ndarray)):
        raise TypeError(f"votes expects a list of numbers of rows, received {votes!r}")
    if votes is not None and (min(votes, default=1) < 1 or sum(votes) != len(prompts)):
        raise ValueError(
            f"votes expects the number of rows of each group, at least 1, {len(prompts)} together; "
            f"found {list(votes)[:10]}, {sum(votes)} together"
        )
    request.check_rows(len(prompts) if votes is None else len(votes))
    return prompts


def _batches(prompts, votes, size):
    """[(rows, groups)], longest first: without votes each row is its own group."""
    sizes = [len(p.ids) + len(p.source or ()) for p in prompts]
    counts = [1] * len(prompts) if votes is None else list(votes)
    starts = np.cumsum([0, *counts])
    rows_of = [list(range(a, b)) for a, b in zip(starts[:-1], starts[1:])]
    order = sorted(range(len(counts)), key=lambda g: -max(sizes[i] for i in rows_of[g]))
    batches = []
    for group in order:
        full = not batches or len(batches[-1][0]) + len(rows_of[group]) > size
        if full:
            batches.append(([], []))
        batches[-1][0].extend(rows_of[group])
        batches[-1][1].append(group)
    return batches


def _bar(found, batches, progress):
    shown = len(batches) > 1 if progress is None else progress
    return tqdm(total=len(found), unit="row", desc="generate", disable=not shown)


def _answers(found, request, return_scores):
    texts = [[request.as_text(ids) for ids in texts] for texts, _ in found]
    scores = [scores for _, scores in found]
    if request.num_return == 1:
        texts, scores = [x[0] for x in texts], [x[0] for x in scores]
    return (texts, scores) if return_scores else texts
