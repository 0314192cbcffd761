"""The paper of a country: what a number's pages and receipts are printed on where its policy does not say."""

from __future__ import annotations

from typing import Final

import phonenumbers

from policies.policy import Paper

#: Territories whose paper is US Letter (Unicode CLDR, supplemental data, measurementData paperSize).
_LETTER: Final = frozenset({"BZ", "CA", "CL", "CO", "CR", "GT", "MX", "NI", "PA", "PH", "PR", "SV", "US", "VE"})


def usual_paper(number: str) -> Paper:
    """Return the paper of the country of ``number`` (E.164).

    >>> usual_paper("+12025550123"), usual_paper("+972312345678")
    (<Paper.LETTER: 'letter'>, <Paper.A4: 'a4'>)
    """
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    return Paper.LETTER if region in _LETTER else Paper.A4
