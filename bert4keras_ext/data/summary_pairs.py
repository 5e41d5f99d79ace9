"""T5-PEGASUS' pre-training data: a corpus as batches of texts and their pseudo summaries."""

from bert4keras_ext.data.buckets import BucketedGenerator, bucket_batches
from bert4keras_ext.data.parallel import parallel_apply_generator
from bert4keras_ext.data.pseudo_summaries import pseudo_summary, summary_chunks
from bert4keras_ext.data.shuffle import random_generator, shuffle_stream

CHUNKS_AT_ONCE = 16  # handed to a process together


class PseudoSummaryGenerator(BucketedGenerator):
    """Batches to train a T5 on: from the sentences that remain to those that were taken out.

    Texts are cut into chunks (`summary_chunks`), the sentences of each chunk parted into a source
    and a target (`pseudo_summary`), and both tokenized. A pass streams through the corpus: what is
    held are `buffer_size` chunks and `window` batches. Random passes take the texts in random order
    if they are a sequence, shuffle the chunks through the buffer, and put pairs of similar length
    into one batch.

    A batch is `(inputs, labels)` for teacher forcing: with a target [CLS] t1 t2 [SEP]

        inputs["Encoder-Input-Token"]   [CLS] s1 s2 ... [SEP]   (batch, source length)
        inputs["Decoder-Input-Token"]   [CLS] t1 t2             (batch, target length)
        labels                          t1    t2 [SEP]          (batch, target length)

    int32, filled up with the pad token to a multiple of `multiple`: lengths are 32, 64, ..., 384
    and 32, ..., 128. There are no sample weights: labels are padded exactly where the decoder's
    input is, so the mask that the model's embedding makes (mask_zero) reaches the loss and leaves
    the padding out; for models without masks give the loss `ignore_class=0`. With a tokenizer
    that has no start token the decoder starts with the pad token, as T5's do.

    Args:
        data: texts: a list, a `TextFile(path, indexable=True)`, or any iterable of str that can be
            iterated anew each epoch.
        tokenizer: a tokenizer, such as `t5_pegasus_tokenizer(vocab)`.
        batch_size, seed, multiple, buckets, window: as in `BucketedGenerator`.
        buffer_size: chunks that are shuffled together; by default 1000 batches.
        source_maxlen, target_maxlen: tokens of source and target at most, start and end included.
        rate: see `pseudo_summary`.
        sentence_length, chunk_length, min_sentences: see `summary_chunks`; a chunk has by default
            1.5 characters for each token that source and target may have.
        workers: processes that choose sentences and tokenize; 0 for this one alone. The order, and
            so what a seed gives, is the same with any number.
        shift: False yields `(inputs,)` with the whole target as the decoder's input, for a loss
            layer that shifts it itself, as bert4keras' scripts do.

    Attributes:
        steps: None, since nobody knows how many chunks the texts give: pass `steps_per_epoch`.

    Example:

    >>> from bert4keras_ext.tokenizers import Tokenizer
    >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "天", "雨", "。"]
    >>> tokenizer = Tokenizer({name: i for i, name in enumerate(names)})
    >>> texts = ["天天。天雨。雨雨天。"]
    >>> train = PseudoSummaryGenerator(texts, tokenizer, sentence_length=4, multiple=8)
    >>> inputs, labels = next(train.forfit(random=False))
    >>> {name: tokenizer.decode(ids[0]) for name, ids in inputs.items()}
    {'Encoder-Input-Token': '天雨。雨雨天。', 'Decoder-Input-Token': '天天。'}
    >>> inputs["Decoder-Input-Token"].tolist(), labels.tolist()
    ([[2, 4, 4, 6, 0, 0, 0, 0]], [[4, 4, 6, 3, 0, 0, 0, 0]])

    ::

        with TextFile("corpus.txt", indexable=True) as corpus:
            train = PseudoSummaryGenerator(
                corpus, t5_pegasus_tokenizer("vocab.txt"), batch_size=96, seed=0, workers=8
            )
            model.compile(optimizer, SparseCategoricalCrossentropy(from_logits=True))
            model.fit(train.to_dataset(), steps_per_epoch=1000, epochs=1000)

    Source: Su 2021, "T5 PEGASUS", https://kexue.fm/archives/8209.
    """

    input_names = ("Encoder-Input-Token", "Decoder-Input-Token")

    def __init__(
        self,
        data,
        tokenizer,
        batch_size=32,
        buffer_size=None,
        *,
        source_maxlen=384,
        target_maxlen=128,
        rate=0.25,
        sentence_length=32,
        chunk_length=None,
        min_sentences=3,
        workers=0,
        shift=True,
        **kwargs,
    ):
        super().__init__(data, batch_size, buffer_size, **kwargs)
        _check(data, min_sentences, target_maxlen)
        self.tokenizer = tokenizer
        self.source_maxlen = source_maxlen
        self.target_maxlen = target_maxlen
        self.rate = rate
        self.sentence_length = sentence_length
        self.chunk_length = chunk_length or 3 * (source_maxlen + target_maxlen) // 2
        self.min_sentences = min_sentences
        self.workers = workers
        self.shift = shift

    def __iter__(self, random=False):
        sources, targets = [], []
        for is_end, (source, target) in self.sample(random):
            sources.append(source)
            targets.append(target)
            if len(sources) == self.batch_size or is_end:
                yield self._batch(sources, targets)
                sources, targets = [], []

    def items(self, random=False):
        """One pass: pairs of lists of ids."""
        chunks = self._chunks(self._texts(random))
        if not random:
            return self._pairs(chunks)
        chunks = shuffle_stream(chunks, self.buffer_size, self._seed(1))
        batches = bucket_batches(
            self._pairs(chunks), self.batch_size, self.length, self.window, self._seed(2)
        )
        return (pair for batch in batches for pair in batch)

    def _count_steps(self):
        return None

    def _seed(self, stage):
        """Each stage of a pass has a random stream of its own."""
        return None if self.seed is None else [*self._epoch_seed(), stage]

    def _texts(self, random):
        if not random:
            return iter(self.data)
        try:
            size = len(self.data)
        except TypeError:  # a stream
            return iter(self.data)
        order = random_generator(self._seed(0)).permutation(size)
        return (self.data[int(place)] for place in order)

    def _chunks(self, texts):
        sizes = (self.sentence_length, self.chunk_length, self.min_sentences)
        return (chunk for text in texts for chunk in summary_chunks(text, *sizes))

    def _pairs(self, chunks):
        if not self.workers:
            return map(self._pair, chunks)
        self.tokenizer.encode("", maxlen=self.target_maxlen)  # jieba loads before the fork
        results = parallel_apply_generator(
            self._pair,
            chunks,
            self.workers,
            random_seeds=False,
            unordered=False,
            chunk_size=CHUNKS_AT_ONCE,
        )
        return (pair for _, pair in results)

    def _pair(self, sentences):
        source, target = pseudo_summary(sentences, self.rate)
        start = [] if self.tokenizer._token_start is not None else [self._pad_id()]
        source_ids = self.tokenizer.encode(source, maxlen=self.source_maxlen)[0]
        target_ids = self.tokenizer.encode(target, maxlen=self.target_maxlen - len(start))[0]
        return source_ids, start + target_ids

    def _batch(self, sources, targets):
        pad = {"value": self._pad_id(), "dtype": "int32"}
        arrays = [self.pad(sources, **pad)]
        if not self.shift:
            arrays.append(self.pad(targets, **pad))
            return (dict(zip(self.input_names, arrays)),)
        arrays.append(self.pad([ids[:-1] for ids in targets], **pad))
        return dict(zip(self.input_names, arrays)), self.pad([ids[1:] for ids in targets], **pad)

    def _pad_id(self):
        return self.tokenizer._token_pad_id or 0


def _check(data, min_sentences, target_maxlen):
    if isinstance(data, (str, bytes)):
        raise TypeError(
            f"data: expected an iterable of texts, found one {type(data).__name__}. Put it in a "
            "list, or open the file: TextFile(path, indexable=True)"
        )
    if min_sentences < 2:
        raise ValueError(
            f"min_sentences: expected at least 2, one for the source and one for the target, found "
            f"{min_sentences}"
        )
    if target_maxlen < 3:
        raise ValueError(
            f"target_maxlen: expected at least 3 (start, one token, end), found {target_maxlen}"
        )
