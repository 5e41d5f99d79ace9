"""JSON files that may be damaged."""

import json

from bert4keras_ext.data.readers import RowError


def read_json(path):
    """What a JSON file holds, with every object's keys checked to be different.

    Raises:
        RowError: no JSON, cut off, not UTF-8, nested too deep, or an object with a key twice.
        FileNotFoundError: no such file.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        reason = f"expected JSON, found {error.msg} at column {error.colno}; fix: fetch it again"
        raise RowError(path, error.lineno, f"{reason}, or write it with json.dump") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RowError(path, line, f"expected UTF-8, found {error}; fix: convert it") from None
    except RecursionError:
        raise RowError(path, 1, "expected data of a few levels, found endless nesting") from None
    except _DoubleKey as error:
        line = data.count(b"\n", 0, max(0, data.rfind(error.key))) + 1
        raise RowError(path, line, str(error)) from None


class _DoubleKey(Exception):
    def __init__(self, key):
        super().__init__(f"expected every key once, found {key!r} twice; fix: remove one")
        self.key = json.dumps(key, ensure_ascii=False).encode("utf-8")


def _object(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DoubleKey(next(key for key in keys if keys.count(key) > 1))
    return found
