"""Fixtures every test shares: fixed seeds, and global Keras settings put back afterwards."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import pytest

# The same examples in every run; a first call traces, which has no deadline.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _restore_global_state():
    """Seeds everything, and undoes what a test changed in global settings."""
    import keras

    from bert4keras_ext.backend import acceleration, activations

    policy, settings = keras.config.dtype_policy(), dict(acceleration._settings)
    gelu = activations.get_gelu()
    keras.utils.set_random_seed(20240607)
    yield
    keras.config.set_dtype_policy(policy)
    acceleration._settings.update(settings)
    activations.set_gelu(gelu)


@pytest.fixture(autouse=True, scope="module")
def _forget_the_models_of_a_file():
    """Frees what a file's models took, so that thousands of tests fit into memory.

    What is left then (modules, caches, models that fixtures share) is frozen: it spares the garbage
    collector from going through more and more of it.
    """
    yield
    import gc

    import keras

    keras.utils.clear_session(free_memory=True)  # collects garbage as well
    gc.freeze()


def pytest_collection_modifyitems(items):
    """The longest first, so that no process waits for another in the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/test_docs", "tests/examples")))


def pytest_sessionfinish(session):
    """A worker process hands over what it compared."""
    if hasattr(session.config, "workeroutput"):
        from tests.models.recorded_models import RESULTS

        session.config.workeroutput["recorded_models"] = [list(row) for row in RESULTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    from tests.models.recorded_models import RESULTS

    rows = getattr(node, "workeroutput", {}).get("recorded_models", ())
    RESULTS.extend(tuple(row) for row in rows)


def pytest_terminal_summary(terminalreporter):
    """The table of every recorded model that was compared, with its largest difference."""
    from tests.models.recorded_models import RESULTS, not_compared

    if len(RESULTS) <= 50:  # only a part of the tests ran
        return
    terminalreporter.section("recorded models: largest absolute difference in float32")
    for source, name, output, largest in sorted(RESULTS):
        terminalreporter.line(f"{source:14}{name:28}{output:32}{largest:.1e}")
    terminalreporter.line(f"not compared in this run: {not_compared() or 'none'}")
