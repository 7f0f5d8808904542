"""The look that all pictures share: colours, axes, margins, and a file that is the same bytes for the same input.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart (Wong, Nature Methods 8:441,
2011).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rec_sys.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GROUP_COLOURS: Final = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION, "#000000")
OTHER_COLOUR: Final = "#D5D8DC"
FEW_TO_MANY: Final = ("#BCD6E8", BLUE, "#04263B")
GREY: Final = "#9AA0A6"
INK: Final = "#33373D"
_GRID: Final = "#ECEEF0"
_PIXELS_AN_INCH: Final = 160


def new_figure(width: float, height: float) -> "Figure":
    """A figure outside pyplot, which would keep it alive and need a display."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)  # inches
    return Figure(figsize=(width, height), dpi=_PIXELS_AN_INCH, facecolor="white", layout=layout)


def label_axes(axes: "Axes", title: str, x_label: str) -> None:
    """A title on the left, quiet lines, and whole numbers on a labelled x axis."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", color=INK)
    axes.set_xlabel(x_label, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)
    if x_label:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def save_figure(figure: "Figure", path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_file(path) as unfinished:
        # Without the version of matplotlib in the file, equal pictures are equal bytes.
        figure.savefig(unfinished, format="png", metadata={"Software": None})
