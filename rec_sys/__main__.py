"""One command for all: `rec-sys train data=...` is `python -m rec_sys.train.train data=...`."""

import difflib
import runpy
import sys
from typing import Final

from rec_sys.console import say, say_error

COMMANDS: Final = {
    "inspect": "rec_sys.data.inspect",
    "generate": "rec_sys.data.generate",
    "prepare": "rec_sys.data.prepare",
    "embed": "rec_sys.train.embed",
    "train": "rec_sys.train.train",
    "finetune": "rec_sys.text.finetune",
    "distil_text": "rec_sys.train.distil_text",
    "model_export": "rec_sys.modules.model_export",
    "create_vectorbase": "rec_sys.vector_database.create_vectorbase",
    "publish": "rec_sys.publish",
    "refresh": "rec_sys.refresh",
    "infer": "rec_sys.inference.infer",
    "gateway": "rec_sys.serving.gateway",
    "demo": "rec_sys.serving.demo",
    "triton": "triton_utils.server",
    "benchmark": "rec_sys.experiments.benchmark",
    "ablation": "rec_sys.experiments.ablation",
    "cold_start": "rec_sys.experiments.cold_start",
    "scaling": "rec_sys.experiments.scaling",
    "simulated_month": "rec_sys.experiments.simulated_month",
    "latency": "rec_sys.experiments.latency",
    "ranker_table": "rec_sys.experiments.ranker_table",
    "text_benchmark": "rec_sys.experiments.text_benchmark",
    "index_benchmark": "rec_sys.experiments.index_benchmark",
}


def main() -> None:
    """Becomes the command that the first argument names."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        say("rec-sys COMMAND [SETTINGS]; COMMAND --help shows its settings\n")
        say("\n".join(f"  {name:18}{module}" for name, module in COMMANDS.items()))
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        remedy = f"{guess}choose one of {', '.join(COMMANDS)}"
        say_error(f"error: there is no command {name}\n  what to do: {remedy}")
        sys.exit(2)
    sys.argv = [f"rec-sys {name}", *rest]
    runpy.run_module(COMMANDS[name], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
