"""What an output folder needs before texts are read in it: an exported text encoder."""

import os
import shutil
from pathlib import Path


def share_text_models(output_dir: Path, text_cache_dir: Path) -> Path:
    """Gives an output folder the tests' exported text encoder, which takes its time to make; the folder of texts."""
    models = output_dir / "text" / "models"
    models.mkdir(parents=True)
    for path in (text_cache_dir / "models").glob("*.onnx"):
        try:
            os.link(path, models / path.name)
        except OSError:  # another file system
            shutil.copyfile(path, models / path.name)
    return output_dir / "text"
