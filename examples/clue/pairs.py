"""AFQMC, CMNLI and OCNLI: a class for each pair of texts, [CLS] first [SEP] second [SEP]."""

import config


def classify(args, write_samples, load_data, labels):
    """Trains, evaluates and predicts.

    Args:
        args: of the command line.
        write_samples: see `config.prepare`.
        load_data: function of args that gives [train, dev, test], rows (text, text, number of the
            label or None), and the ids of test.
        labels: their names, for the submission.
    """
    config.prepare(args, write_samples)
    with config.clear_errors():
        splits, ids = load_data(args)
        texts = (text for first, second, _ in splits[0] for text in (first, second))
        encoder, tokenizer = config.base_model(args, texts)

    def encode(row):
        first, second, _ = row
        return tokenizer.encode(first, second, maxlen=args.maxlen)[0]

    def build():
        return config.classifier(encoder, len(labels), args)

    batches = [config.Batches(rows, encode, args) for rows in splits]
    scores = config.train(args, encoder, build, batches)  # scores dev after each epoch
    config.write_submission(args, scores, ids, labels)
