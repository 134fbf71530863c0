"""Conclusions of a run against their published schema, and their numbers against scipy's."""
import itertools
import json
import sys

import jsonschema
import numpy as np
from scipy import stats

schema, path = sys.argv[1:]
conclusions = json.load(open(path))
schema = json.load(open(schema))
jsonschema.Draft202012Validator.check_schema(schema)
jsonschema.validate(conclusions, schema)


def near(a, b, what):
    assert (a is None and not np.isfinite(b)) or abs(a - b) < 1e-9, (what, a, b)


def holm(ps):
    order = np.argsort(ps, kind="stable")
    out, floor = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, ps[i] * (len(ps) - rank)))
        out[i] = floor
    return out


ranks = {"primary": [], "secondary": []}
for arm in conclusions["arms"]:
    for claim in arm["claims"] + arm["tax"]:
        ranks[claim["rank"]].append(claim)
        run, other = np.array(claim["run"]), np.array(claim["other"])
        d = run - other
        assert len(d) >= 3 and np.allclose(d, claim["difference"], atol=0, rtol=0)
        near(claim["mean"], d.mean(), "mean")
        near(claim["iqm"], stats.trim_mean(d, 0.25) if len(d) % 4 == 0 else claim["iqm"], "iqm")
        flips = [abs(np.dot(s, d)) >= abs(d.sum()) - 1e-12 * abs(d).sum()
                 for s in itertools.product((-1, 1), repeat=len(d))]
        near(claim["p_signs"], np.mean(flips), "p_signs")
        near(claim["p_floor"], 2.0 ** (1 - len(d)), "p_floor")
        if d.std(ddof=1) < 1e-12:
            continue
        near(claim["p_t"], stats.ttest_rel(run, other).pvalue, "p_t")
        low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
        near(claim["low"], low, "low")
        near(claim["high"], high, "high")
        if "alive" in claim:
            margin = claim["alive"]["margin"]
            p = max(stats.ttest_1samp(d, -margin, alternative="greater").pvalue,
                    stats.ttest_1samp(d, margin, alternative="less").pvalue)
            near(claim["alive"]["p"], p, "alive")
            assert claim["alive"]["holds"] == (p < 0.05)
for rank, claims in ranks.items():
    assert claims, rank
    for claim, p in zip(claims, holm([c["p_t"] for c in claims])):
        near(claim["p_holm"], p, "p_holm")
