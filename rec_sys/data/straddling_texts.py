"""Texts that stand on reviews of several splits, as where a shop repeats one review for every variant."""

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import SplitName
from rec_sys.data.interactions import BoolArray, SmallIntArray


def hide_straddling_texts(of_review: npt.NDArray[np.uint8], body_index: SmallIntArray) -> BoolArray:
    """bool `[num_reviews]`: whether a review's text may be read.

    A text that stands on several rows is read only in the latest split that it stands in. What is used for nothing
    (LATER) hides nothing: that a text will return is the future.
    """
    lateness = np.where(np.isin(of_review, (SplitName.HISTORY, SplitName.LATER)), SplitName.TRAIN, of_review)
    latest = np.zeros(int(body_index.max(initial=-1)) + 2, dtype=np.uint8)
    np.maximum.at(latest, body_index, lateness)  # index -1 (no text) is the last place, read by nobody
    visible: BoolArray = (body_index < 0) | (lateness == latest[body_index])
    return visible
