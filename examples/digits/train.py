"""Train a classifier of handwritten digits and say how good it is: a small, real job.

Reads ``digits.csv.gz`` (64 pixels and a label a line) from its folder, writes ``result.json`` and the model to /job/out.
"""

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

OUT = Path("/job/out")


def model_for(arguments: argparse.Namespace) -> SVC | MLPClassifier:
    if arguments.model == "mlp":
        return MLPClassifier(hidden_layer_sizes=(arguments.hidden,), max_iter=arguments.epochs, random_state=0)
    return SVC(gamma=arguments.gamma, C=arguments.c)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--model", choices=["svm", "mlp"], default="svm")
    reader.add_argument("--gamma", type=float, default=0.001)
    reader.add_argument("--c", type=float, default=1.0)
    reader.add_argument("--hidden", type=int, default=64)
    reader.add_argument("--epochs", type=int, default=200)
    reader.add_argument("--rounds", type=int, default=1, help="train so often, each time on another split")
    arguments = reader.parse_args()

    table = np.loadtxt("digits.csv.gz", delimiter=",")
    pixels, labels = table[:, :64], table[:, 64].astype(int)
    scores = []
    for seed in range(arguments.rounds):
        split = train_test_split(pixels, labels, test_size=0.25, random_state=seed, stratify=labels)
        model = model_for(arguments).fit(split[0], split[2])
        scores.append(float(model.score(split[1], split[3])))
        print(f"round {seed + 1} of {arguments.rounds}: accuracy {scores[-1]:.4f}", flush=True)
    accuracy = sum(scores) / len(scores)
    OUT.joinpath("model.pickle").write_bytes(pickle.dumps(model))
    OUT.joinpath("result.json").write_text(json.dumps({"settings": vars(arguments), "accuracy": round(accuracy, 4)}))
    print(f"accuracy {accuracy:.4f} over {arguments.rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
