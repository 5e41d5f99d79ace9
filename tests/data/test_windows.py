import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.data import sliding_windows
from bert4keras_ext.tokenizers import Tokenizer

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天地人，。？12", "word", "##s", "a", "##b", "##1"]
TOKENIZER = Tokenizer({name: number for number, name in enumerate(NAMES)}, do_lower_case=True)
# White space, letters that vanish, grow or fall apart (Hangul), and unknown ones are among them.
TEXTS = st.lists(st.sampled_from([*"天地人，。12 \n\u200b猫각İé", "Words", "ab1", "𫚭"])).map(
    "".join
)


def windows_of(passage, maxlen=12, stride=3, question="天？"):
    return sliding_windows(TOKENIZER, question, passage, maxlen, stride)


@given(TEXTS, st.integers(7, 16), st.data())
def test_the_windows_hold_the_whole_passage(passage, maxlen, data):
    room = maxlen - 5  # [CLS] 天 ？ [SEP] ... [SEP]
    stride = data.draw(st.integers(1, room))
    windows = windows_of(passage, maxlen, stride)
    ids = TOKENIZER.encode(passage)[0][1:-1]
    read = []
    for number, window in enumerate(windows):
        part = ids[number * stride :][:room]
        token_ids, segment_ids = TOKENIZER.encode("天？")
        assert window.token_ids == [*token_ids, *part, 3]
        assert window.segment_ids == segment_ids + [1] * (len(part) + 1)
        assert window.first == 4 and len(window.spans) == len(part)
        assert len(part) == room or window is windows[-1]
        assert len(read) >= number * stride  # no token is left out
        read[number * stride :] = part
    assert read == ids
    assert len(windows) == 1 or len(ids) > room + stride * (len(windows) - 2)  # none is needless
    assert windows[0].reach[0] == 0 and windows[-1].reach[1] == len(passage)


@given(TEXTS, st.data())
def test_places_are_those_of_the_tokens_that_hold_the_characters(passage, data):
    room, stride = 7, 3
    start = data.draw(st.integers(0, len(passage)))
    end = data.draw(st.integers(start, len(passage)))
    sources = TOKENIZER.rematch(passage, TOKENIZER.tokenize(passage))[1:-1]
    # A word holds what vanishes inside of it as well.
    sources = [range(places[0], places[-1] + 1) for places in sources]
    holders = [i for i, places in enumerate(sources) if set(places) & set(range(start, end))]
    for number, window in enumerate(windows_of(passage, maxlen=room + 5, stride=stride)):
        own = range(number * stride, number * stride + room)
        found = window.places(start, end)
        if not holders or not set(holders) <= set(own):
            assert found is None
            continue
        assert found == tuple(4 + holder - own.start for holder in (holders[0], holders[-1]))
        first, last = window.characters(*found)
        held = [place for holder in holders for place in sources[holder]]
        assert (first, last) == (min(held), max(held) + 1)


def test_a_stretch_may_begin_and_end_with_white_space():
    passage = " 天 地 人 天 地 人 天"
    first, second = windows_of(passage, maxlen=9, stride=3)  # 4 tokens each
    assert passage[slice(*first.reach)] == " 天 地 人 天 "
    assert passage[slice(*second.reach)] == " 天 地 人 天"
    assert first.places(0, 9) == (4, 7) and second.places(0, 9) is None
    assert first.characters(4, 7) == (1, 8)
    assert first.places(0, 1) is None  # white space alone


def test_a_long_question_is_cut():
    windows = sliding_windows(TOKENIZER, "天地人" * 9, "地" * 9, 12, 3, question_maxlen=4)
    assert [window.first for window in windows] == [6, 6, 6]
    assert TOKENIZER.ids_to_tokens(windows[0].token_ids[:6]) == ["[CLS]", *"天地人天", "[SEP]"]


def test_an_empty_passage_has_one_window():
    (window,) = windows_of("")
    assert window.token_ids == [2, 4, 9, 3, 3] and window.segment_ids == [0, 0, 0, 0, 1]
    assert window.spans == [] and window.reach == (0, 0) and window.places(0, 0) is None


@pytest.mark.parametrize("stride", [0, 8])
def test_a_stride_that_would_leave_tokens_out(stride):
    with pytest.raises(
        ValueError, match=rf"stride from 1 to 7, the .* maxlen 12 .* received {stride}"
    ):
        windows_of("天", stride=stride)


@pytest.mark.parametrize("places", [(3, 4), (5, 4), (4, 7)])
def test_places_outside_of_the_part(places):
    (window,) = windows_of("天地人")
    with pytest.raises(ValueError, match="expected places 4 <= first <= last <= 6, received"):
        window.characters(*places)
