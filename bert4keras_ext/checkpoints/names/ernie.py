"""ERNIE: BERT's names, and a table of tasks."""

from bert4keras_ext.checkpoints.names import bert

# Baidu published no TensorFlow checkpoints: these names are what a BERT's would be.
TENSORFLOW = bert.TENSORFLOW.derived(
    "ernie", more={"Embedding-Task/embeddings": "bert/embeddings/task_type_embeddings"}
)

HUGGING_FACE = bert.HUGGING_FACE.derived(
    "ernie",
    replace=(("bert.", "ernie."),),
    more={"Embedding-Task/embeddings": "ernie.embeddings.task_type_embeddings.weight"},
    bases=("ernie.", "bert.", ""),  # before transformers knew ERNIE, files were made as BERT
)

TABLES = (TENSORFLOW, HUGGING_FACE)
