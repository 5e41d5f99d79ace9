"""data/ and tokenizers/ in a process of its own, which starts in a fraction of a second."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def ground_floor():
    """The lines a program begins with, to import them without the package's other floors."""
    return (
        "import sys, types\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "package = types.ModuleType('bert4keras_ext')\n"
        f"package.__path__ = [{str(ROOT / 'bert4keras_ext')!r}]\n"
        "sys.modules['bert4keras_ext'] = package\n"
    )
