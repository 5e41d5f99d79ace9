"""Whether two short Chinese answers name the same thing."""

import re

NUMBER = r"[〇零一二三四五六七八九十百千万亿兆\d]"
PEOPLES = "(?:[^省市县区]{1,4}族|维吾尔|哈萨克|蒙古|柯尔克孜|塔吉克|锡伯)*"
PLACE = "[省市县旗区盟州]"
COUNTRIES = (
    "日本|印度|俄罗斯|加拿大|澳大利亚|新西兰|意大利|西班牙|葡萄牙|荷兰|比利时|瑞士|瑞典|挪威|丹麦|芬兰|"
    "波兰|奥地利|匈牙利|捷克|希腊|土耳其|埃及|南非|巴西|阿根廷|智利|秘鲁|古巴|墨西哥|越南|朝鲜|蒙古|"
    "缅甸|老挝|柬埔寨|马来西亚|新加坡|印度尼西亚|菲律宾|伊朗|伊拉克|以色列|巴基斯坦|阿富汗|乌克兰|"
    "罗马尼亚|保加利亚|塞尔维亚|爱尔兰|冰岛|尼泊尔|斯里兰卡|香港|澳门|台湾"
)
# Each takes something off that does not change what is meant; the group is what is left.
REDUCTIONS = (
    rf"第?({NUMBER}+)[^〇零一二三四五六七八九十百千万亿兆\d]{{1,4}}",  # 第3个, 3个, 15岁, 3月份: 3
    rf"第({NUMBER}+.{{1,4}})",
    rf"({NUMBER}+个)[人月]",
    rf"({NUMBER}+月)份",
    rf"公元前?({NUMBER}+年?)",
    rf"({NUMBER}+[分秒])钟",
    "[《<]+(.+?)[》>]+",
    "(..)座",  # constellations
    f"(.+国|{COUNTRIES})人",
    "([男女])性",
    "(.+?)(?:地区|民族|族|色)",
    "(夏|商|周|秦|汉|晋|南北|南|北|隋|唐|宋|金|元|明|清)朝",
    "成(正比|反比)",
    "(正比|反比)例",
    "(.)元素",
    # 广州市, 广东省广州市: 广州; 新疆维吾尔自治区: 新疆
    f"(?:.{{2,}}?(?:省|自治区|市|州))?(.{{2,}}?)(?:{PEOPLES}自治{PLACE}|特别行政区|{PLACE})",
    f"(?:.{{2,}}?(?:省|自治区|市|州))(.{{2,}}{PLACE})",  # 广东省广州市: 广州市
)
REDUCTIONS_OF_CORRECT = ("(.+)的", "([鼠牛虎兔龙蛇马羊猴鸡狗猪])年", "[“‘'\"](.+)[”’'\"]")
REDUCTIONS_OF_PREDICTED = ("(.+)(?:公司|大学|罪)", "(.+)国")


def normal_form(text):
    """Lower case, without blanks."""
    return "".join(text.split()).lower()


class FuzzyMatcher:
    """Decides whether a predicted answer names what a correct one names.

    It does if both are equal but for blanks and case, if they stand in one group of synonyms, or
    if one of them becomes the other when one thing that does not change the meaning is taken
    off: the unit of a number, book-title marks, `人` of a country's people, `族`, `色`, `地区`,
    `朝`, `元素`, `省`, `市`, `自治区` and their like. Two answers that merely share a shorter form
    (`3个`, `3本`) do not match.

    The rules follow those of WebQA's evaluation, written anew without its tables: where that
    looks a place or a unit up, this one trusts its ending.

    Args:
        synonyms: groups of names of one thing.

    Raises:
        ValueError: groups that are not lists of texts.

    Example:

    >>> matches = FuzzyMatcher([["番茄", "西红柿"]])
    >>> matches("新疆", "新疆维吾尔自治区"), matches("西红柿", "番茄"), matches("3个", "3本")
    (True, True, False)
    """

    def __init__(self, synonyms=()):
        self._groups = {}
        for number, group in enumerate(synonyms):
            if isinstance(group, str) or not all(isinstance(name, str) for name in group):
                raise ValueError(
                    "synonyms: expected groups of names, as [['番茄', '西红柿']], found "
                    f"{group!r:.80}"
                )
            for name in group:
                self._groups.setdefault(normal_form(name), set()).add(number)

    def __call__(self, predicted, correct):
        predicted, correct = normal_form(predicted), normal_form(correct)
        if predicted == correct:
            return True
        if self._groups.get(predicted, set()) & self._groups.get(correct, set()):
            return True
        return predicted in _reduced(correct, OF_CORRECT) or correct in _reduced(
            predicted, OF_PREDICTED
        )


def _compiled(patterns):
    return tuple(re.compile(pattern) for pattern in patterns)


OF_CORRECT = _compiled(REDUCTIONS + REDUCTIONS_OF_CORRECT)
OF_PREDICTED = _compiled(REDUCTIONS + REDUCTIONS_OF_PREDICTED)


def _reduced(text, patterns):
    """All that may be left of a text when one thing is taken off."""
    return {match[1] for pattern in patterns if (match := pattern.fullmatch(text))}
