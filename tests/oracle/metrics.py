"""Writes tests/golden/metrics.h: random probabilities and what scikit-learn says about them.

    python3 tests/oracle/metrics.py > tests/golden/metrics.h

Development only; needs numpy and scikit-learn. Cases: distinct scores, many ties, everything tied,
rare positives; each as it is and reweighted to a balanced and a 2% prevalence (sample_weight)."""
import numpy as np
from sklearn import metrics as sk


def probabilistic_f1(y, p, w):
    """The Kaggle definition, with weights."""
    precision = (w * p * y).sum() / (w * p).sum()
    recall = (w * p * y).sum() / (w * y).sum()
    return 2 * precision * recall / (precision + recall)


def expected_calibration_error(y, p, w, bins=10):
    index = np.minimum((p * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            mass = w[inside].sum()
            total += mass * abs(np.average(y[inside], weights=w[inside])
                                - np.average(p[inside], weights=w[inside]))
    return total / w.sum()


def figures(y, p, prevalence, threshold):
    w = np.ones(len(y))
    if prevalence:
        w = np.where(y == 1, prevalence / y.sum(), (1 - prevalence) / (1 - y).sum()) * len(y)
    hard = (p >= threshold).astype(int)
    false_positive, true_positive, _ = sk.roc_curve(y, p, drop_intermediate=False)
    precision, recall, thresholds = sk.precision_recall_curve(y, p, sample_weight=w)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    return [
        sk.precision_score(y, hard, sample_weight=w, zero_division=np.nan),
        sk.recall_score(y, hard),
        sk.recall_score(1 - y, 1 - hard),
        sk.f1_score(y, hard, sample_weight=w),
        probabilistic_f1(y, p, w),
        sk.roc_auc_score(y, p),
        sk.average_precision_score(y, p, sample_weight=w),
        true_positive[false_positive <= 0.1].max(),
        sk.brier_score_loss(y, p, sample_weight=w),
        expected_calibration_error(y, p, w),
        f1.max(),
    ]


def number(v):
    return "NAN" if np.isnan(v) else repr(float(v))


def main():
    rng = np.random.default_rng(20240501)
    cases = []
    for name, n, share, decimals in [("distinct", 61, 0.4, None), ("ties", 80, 0.5, 1),
                                     ("all tied", 12, 0.5, 0), ("rare", 97, 0.06, 2)]:
        y = np.zeros(n, int)
        y[: max(1, round(share * n))] = 1
        rng.shuffle(y)
        p = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.3 * y - 0.4)))
        if decimals is not None:
            p = np.round(p, decimals) if decimals else np.full(n, 0.25)
        cases.append((name, y, p))
    print("/* Made by tests/oracle/metrics.py with scikit-learn; do not edit. Values: the ten of")
    print(" * mg_metric in its order, then the best F1. */")
    for i, (_, y, p) in enumerate(cases):
        print(f"static const uint8_t golden_label_{i}[] = {{{', '.join(map(str, y))}}};")
        print(f"static const double golden_probability_{i}[] = {{{', '.join(map(number, p))}}};")
    print("static const struct { const char *name; const uint8_t *label; const double *probability;")
    print("    size_t count; double threshold, prevalence, value[11]; } golden_metrics[] = {")
    for i, (name, y, p) in enumerate(cases):
        for prevalence in (0, 0.5, 0.02):
            for threshold in (0.5, 0.3):
                values = ", ".join(map(number, figures(y, p, prevalence, threshold)))
                print(f'    {{"{name}", golden_label_{i}, golden_probability_{i}, {len(y)}, '
                      f"{threshold}, {prevalence}, {{{values}}}}},")
    print("};")


if __name__ == "__main__":
    main()
