"""Recognise a French national identity number (NIR) in free text, by its structure.

The NIR has 13 characters: sex (1, 2; 3, 4, 7, 8 while being registered), year, month (01 to 12, or 20, 30 to 42, 50 to
99 for incomplete civil records), département (01 to 19, 2A, 2B, 21 to 99), commune, order; then a key of two digits: 97
minus the number modulo 97, where 2A counts as 19 and 2B as 18 (INSEE, "Numéro d'inscription au répertoire"). Its use is
forbidden outside a closed list of purposes (decree 2019-341), so that an event never carries one.
"""

from __future__ import annotations

import re

_GAP = r"[ .\-_/\u00a0\u2009\u202f]?"
_NIR = re.compile(
    rf"(?<![0-9])([123478]){_GAP}([0-9]{{2}}){_GAP}(0[1-9]|1[0-2]|20|3[0-9]|4[0-2]|[5-9][0-9]){_GAP}"
    rf"(0[1-9]|1[0-9]|2[1-9ABab]|[3-9][0-9]){_GAP}([0-9]{{3}}){_GAP}([0-9]{{3}})(?:({_GAP})([0-9]{{2}}))?(?![0-9])"
)
_CORSICA = {"2A": "19", "2B": "18"}


def _key_is_right(match: re.Match[str]) -> bool:
    sex, year, month, department, commune, order, _, key = match.groups()
    number = int(sex + year + month + _CORSICA.get(department.upper(), department) + commune + order)
    return 97 - number % 97 == int(key)


def find(text: str) -> tuple[int, int] | None:
    """Place and length of the first national identity number in `text`, or None.

    Fifteen characters written without a gap before the key count only if the key is right; thirteen count by structure
    alone.
    """
    for match in _NIR.finditer(text):
        gap, key = match.group(7), match.group(8)
        if key is None or gap or _key_is_right(match):
            return match.start(), match.end() - match.start()
    return None
