"""Prints the report of `train.py` as options of `lineate model register`, one word a line."""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text())
for option, values in (("--param", report["params"]), ("--metric", report["metrics"])):
    for name, value in values.items():
        print(option)
        print(f"{name}={value}")
