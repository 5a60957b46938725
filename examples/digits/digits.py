# SPDX-License-Identifier: Apache-2.0
"""The steps of flow.mf. One function may be several steps: which one it is, it knows from
`current`, and what was done before from `self`."""

import os

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from mesh import current

matplotlib.use("Agg")  # pictures are written to files; there is no window

MODELS = {
    "neighbours": KNeighborsClassifier,
    "vectors": SVC,
    "forest": RandomForestClassifier,
}


def make_model(kind, setting, seed):
    model = MODELS[kind](**setting)
    if "random_state" in model.get_params():
        model.set_params(random_state=seed)
    return model


def load(self):
    digits = load_digits()
    split = train_test_split(
        digits.data, digits.target, test_size=self.test_share, random_state=self.seed
    )
    # Arrays are kept as .npy: every language that reads it can have them.
    self.images, self.test_images, self.labels, self.test_labels = split
    print(f"{len(self.images)} images to learn from, {len(self.test_images)} to test with")


def begin(self):
    self.kind = current.step_name


def setting(self):
    self.setting = self.input  # an item of the matrix: {"C": 10, "gamma": 0.001}


def fit(self):
    index, n_folds, _ = self.foreach_stack()[-1]
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=self.seed)
    learn, check = list(folds.split(self.images, self.labels))[index]
    model = make_model(self.kind, self.setting, self.seed)
    model.fit(self.images[learn], self.labels[learn])
    self.score = model.score(self.images[check], self.labels[check])


def mean(self, inputs):
    self.score = float(np.mean([one.score for one in inputs]))
    print(f"{self.score:.4f} {self.kind} {self.setting}")


def best(self, inputs):
    found = max(inputs, key=lambda one: one.score)
    self.kind, self.setting, self.score = found.kind, found.setting, found.score
    print(f"best: {self.score:.4f} {self.kind} {self.setting}")


def report(self):
    self.model = make_model(self.kind, self.setting, self.seed)
    self.model.fit(self.images, self.labels)
    self.accuracy = float(self.model.score(self.test_images, self.test_labels))
    print(f"{self.kind} {self.setting} reads {self.accuracy:.2%} of new digits right")
    matrix = ConfusionMatrixDisplay.from_estimator(
        self.model, self.test_images, self.test_labels, colorbar=False
    )
    # A file in this folder is an artifact, too.
    matrix.figure_.savefig(os.path.join(current.out_dir, "confusion.png"))
