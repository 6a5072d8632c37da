"""Trains the delay model: at scheduled departure, will this flight arrive more than 15 minutes late?

Reads a training set as `lineate dataset create --output` writes it, learns on the flights before a day and is judged
on those from that day on. Writes the model, and its parameters and metrics as JSON. The same input gives the same
metrics.
"""

import argparse
import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

LABEL = "arrived_late"
TIME = "event_timestamp"
CATEGORIES = ["origin", "carrier"]
PARAMETERS = {"learning_rate": 0.1, "max_iter": 200, "max_leaf_nodes": 31, "min_samples_leaf": 50, "random_state": 0}


def read(path: Path) -> pd.DataFrame:
    """The labelled flights, in the order of the file."""
    frame = pq.read_table(path).to_pandas()
    return frame[frame[LABEL].notna()].reset_index(drop=True)


def inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """What the model sees: the features, the clock, and the categories the label came with."""
    numbers = [name for name in frame.columns if "__" in name and pd.api.types.is_numeric_dtype(frame[name])]
    # A feature without a single value, as the weather at destinations the data does not cover, teaches nothing.
    numbers = [name for name in numbers if frame[name].notna().mean() > 0.01]
    seen = frame[numbers].astype("float64")
    local = frame[TIME].dt.tz_convert("America/New_York")
    seen["hour"] = local.dt.hour + local.dt.minute / 60
    seen["weekday"] = local.dt.day_of_week
    # An aircraft last seen elsewhere is still on its way, or was seen too late to be known.
    seen["aircraft_is_here"] = (frame["aircraft_log__last_dest"] == frame["origin"]).astype("float64")
    for name in CATEGORIES:
        seen[name] = frame[name].astype("category")
    return seen


def train(frame: pd.DataFrame, split: pd.Timestamp) -> tuple[HistGradientBoostingClassifier, dict]:
    """The model and its metrics on the flights from `split` on."""
    seen, late = inputs(frame), frame[LABEL].astype(bool).to_numpy()
    before = (frame[TIME] < split).to_numpy()
    if before.all() or not before.any():
        first, last = frame[TIME].min(), frame[TIME].max()
        raise SystemExit(f"error: {split} does not split the flights, which are from {first} to {last}")
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", **PARAMETERS)
    model.fit(seen[before], late[before])

    chance = model.predict_proba(seen[~before])[:, 1]
    truth = late[~before]
    base_rate = np.full(len(truth), late[before].mean())
    metrics = {
        "train_rows": int(before.sum()),
        "test_rows": int((~before).sum()),
        "test_late_share": float(truth.mean()),
        "roc_auc": float(roc_auc_score(truth, chance)),
        "average_precision": float(average_precision_score(truth, chance)),
        "log_loss": float(log_loss(truth, chance)),
        "log_loss_of_base_rate": float(log_loss(truth, base_rate)),
        "brier": float(brier_score_loss(truth, chance)),
    }
    return model, {name: round(value, 6) for name, value in metrics.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("training_set", type=Path, help="Parquet, from `lineate dataset create --output`")
    parser.add_argument("--split", default="2013-11-01T00:00:00Z", help="the first moment of the test flights")
    parser.add_argument("--model", type=Path, default=Path("model.joblib"), help="where the model goes")
    parser.add_argument("--report", type=Path, default=Path("report.json"), help="where parameters and metrics go")
    arguments = parser.parse_args()

    model, metrics = train(read(arguments.training_set), pd.Timestamp(arguments.split))
    joblib.dump(model, arguments.model)
    report = {"params": PARAMETERS | {"split": arguments.split}, "metrics": metrics}
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")
    for name, value in metrics.items():
        print(f"{name:<22} {value}")


if __name__ == "__main__":
    main()
