"""Files of recommendations in the exact form that somebody else checks: one format a shop.

A format says who is asked for, how many products each gets, how a row is written and read, and what the file is
measured by. Writing, filling up and strict checking are the same for all; adding one is a module and a line
of `FORMATS`.
"""

from typing import Final

from rec_sys.inference.submissions import hm, kion, shop_events
from rec_sys.inference.submissions.contract import SubmissionFormat

FORMATS: Final[dict[str, SubmissionFormat]] = {"shop_events": shop_events.FORMAT, "kion": kion.FORMAT, "hm": hm.FORMAT}
