/* What the schema and the typed reading refuse, at which place and in which words. */
#include "support.h"

/* A pipeline that is well, in the pieces that the cases replace. */
typedef struct edit {
    const char *old; /* "" adds `now` at the end */
    const char *now;
    const char *problem; /* NULL: still well */
} edit;

static const char good[] =
    "interloop: 1\n"                                              /* 1 */
    "name: good\n"                                                /* 2 */
    "seed: 1\n"                                                   /* 3 */
    "model: {use: gpt@^1.0, params: {layers: 2}}\n"               /* 4 */
    "data: {use: words}\n"                                        /* 5 */
    "references: {base: {of: first}}\n"                           /* 6 */
    "detectors:\n"                                                /* 7 */
    "  probe:\n"                                                  /* 8 */
    "    use: linear_probe\n"                                     /* 9 */
    "    site: blocks.0.hook_resid_post\n"                        /* 10 */
    "    fit: {split: a, label: y}\n"                             /* 11 */
    "    threshold: {split: b, fpr: 0.05, unit: token}\n"         /* 12 */
    "    refit: frozen\n"                                         /* 13 */
    "  judge: {use: mlp_probe, sites: [x.y, z.w], vault: true}\n" /* 14 */
    "firewall: sealed\n"                                          /* 15 */
    "stages:\n"                                                   /* 16 */
    "  first:\n"                                                  /* 17 */
    "    train: {steps: 5, batch: 8, lanes: 2, optimizer: {use: sgd, lr: 0.1}}\n"
    "    signals: {language: {source: next_token, channel: loss, route: all}}\n"
    "  fitted: {from: first, fit: [probe]}\n"                               /* 20 */
    "  loop:\n"                                                             /* 21 */
    "    from: fitted\n"                                                    /* 22 */
    "    train:\n"                                                          /* 23 */
    "      steps: 5\n"                                                      /* 24 */
    "      batch: 8\n"                                                      /* 25 */
    "      optimizer: {use: adamw, lr: 1e-3, schedule: {use: constant}}\n"  /* 26 */
    "      clip: [{groups: all, norm: 1.0}]\n"                              /* 27 */
    "    signals:\n"                                                        /* 28 */
    "      language: {source: next_token, channel: loss, route: all}\n"     /* 29 */
    "      press: {source: probe, channel: loss, weight: 2, route: none}\n" /* 30 */
    "    audit: {every: 2, splits: [c], fresh: [linear]}\n"                 /* 31 */
    "    require: {probe.auroc: '>= 0.9'}\n"                                /* 32 */
    "    variants:\n"                                                       /* 33 */
    "      a: {}\n"                                                         /* 34 */
    "      b: {signals.press.channel: monitor, twin_of: a}\n";              /* 35 */

static const edit edits[] = {
    {"", "x-note: [anything, {at: all}]\n", NULL},
    {"", "ledger: 1\n", "p.yaml:36:1: error: unknown key 'ledger' in a pipeline"},
    {"", "detectrs: {}\n",
     "unknown key 'detectrs' in a pipeline, did you mean 'detectors'?"},
    {"interloop: 1\n", "", "p.yaml:1:1: error: a pipeline needs `interloop`"},
    {"interloop: 1", "interloop: 2", "p.yaml:1:12: error: expected the number 1"},
    {"name: good", "name: [good]", "p.yaml:2:7: error: expected a name, found a list"},
    {"name: good", "name: a/b", "'a/b' is not a name"},
    {"name: good", "name:", "p.yaml:2:6: error: expected a name, found nothing"},
    {"name: good", "name: no", NULL},
    {"seed: 1", "seed: -1",
     "p.yaml:3:7: error: expected a whole number from 0 to 2^53, found '-1'"},
    {"seed: 1", "seed: '1'", "found the string \"1\"; quotes make it a string"},
    {"seed: 1", "seed: 1.5", "found '1.5'"},
    {"seed: 1", "seed: 99999999999999999999", "expected a whole number"},
    {"seed: 1", "numerics: fast",
     "'fast' is not a kind of numerics, expected native or portable"},
    {"use: gpt@^1.0, ", "", "p.yaml:4:8: error: a component needs `use`"},
    {"gpt@^1.0", "gpt@", "expected an id, or id@range"},
    {"params: {layers", "parms: {layers",
     "unknown key 'parms' in a component, did you mean 'params'?"},
    {"params: {layers: 2}", "params: 2", "expected a map, found '2'"},
    {"of: first", "of: frist",
     "p.yaml:6:25: error: no stage 'frist', did you mean 'first'?"},
    {"of: first", "off: first", "unknown key 'off' in a reference, did you mean 'of'?"},
    {"of: first", "of: loop/c", "no variant 'c' of stage 'loop'"},
    {"of: first", "moving_average: 1", "expected a number between 0 and 1, found '1'"},
    {"    use: linear_probe\n", "", "p.yaml:9:5: error: a detector needs `use`"},
    {"    site: blocks.0.hook_resid_post\n", "",
     "a detector needs `site`, `sites` or `of`"},
    {"sites: [x.y", "site: q, sites: [x.y", "`sites` beside `site`"},
    {"sites: [x.y, z.w]", "of: [probe]", NULL},
    {"sites: [x.y, z.w]", "of: [prob]", "no detector 'prob', did you mean 'probe'?"},
    {"sites: [x.y, z.w]", "sites: [x.y], of: [probe]", "`of` beside `sites`"},
    {"[x.y, z.w]", "[x.y, x.y]", "p.yaml:14:40: error: 'x.y' a second time"},
    {"[x.y, z.w]", "[]", "found an empty one"},
    {"[x.y, z.w]", "x.y", "expected a list of names, found 'x.y'"},
    {"vault: true", "vault: yes", "expected true or false, found 'yes'"},
    {"vault: true", "vault: \"true\"", "quotes make it a string"},
    {"fit: {split: a, label: y}", "fit: {label: y}",
     "p.yaml:11:10: error: how it is fitted needs `split` or `rollouts`"},
    {"fit: {split: a, label: y}", "fit: {split: a}", NULL},
    {"fit: {split: a, label: y}", "fit: {split: a, warmup: 0, decay: 0.5, lanes: 4}",
     NULL},
    {"fit: {split: a, label: y}", "fit: {split: a, decay: 2}",
     "expected a number from 0 to 1"},
    {"fit: {split: a, label: y}", "fit: {split: a, label: y, lr: 0}",
     "expected a number above 0, found '0'"},
    {"fit: {split: a", "fit: {split: a, rollouts: {policy: own}",
     "`rollouts` beside `split`"},
    {"threshold: {split: b, fpr: 0.05", "threshold: {split: b, fpr: 0",
     "expected a number between 0 and 1, found '0'"},
    {"threshold: {split: b, fpr: 0.05", "threshold: {split: b, fpr: 1", "found '1'"},
    {"threshold: {split: b, fpr: 0.05", "threshold: {split: a, fpr: 0.05",
     "'a' fits detector 'probe' already"},
    {"threshold: {split: b, fpr: 0.05, unit: token}", "threshold: {logit: 0}", NULL},
    {"threshold: {split: b, fpr: 0.05, unit: token}", "threshold: {logit: 0, fpr: 0.1}",
     "unknown key 'fpr' in a threshold"},
    {"threshold: {split: b, fpr: 0.05, unit: token}", "threshold: {split: b}",
     "p.yaml:12:17: error: unknown key 'split' in a threshold"},
    {"unit: token", "unit: tokens", "did you mean 'token'?"},
    {"refit: frozen", "refit: often", "'often' is not frozen, {every: N}"},
    {"refit: frozen", "refit: {every: 5, split: a}", NULL},
    {"refit: frozen", "refit: {evry: 5}",
     "unknown key 'evry' in a way of refitting, did you mean 'every'?"},
    {"refit: frozen", "refit: {online: {steps: 1}}", "an online fit needs `lr`"},
    {"refit: frozen", "refit: {every: 0}",
     "expected a whole number of at least 1, found '0'"},
    {"refit: frozen", "context: future", "'future' is not a context"},
    {"refit: frozen", "on: bass", "no reference 'bass', did you mean 'base'?"},
    {"vault: true", "vault: true, refit: {every: 3}",
     "is in the vault, so it stays frozen"},
    {"vault: true", "refit: {every: 3}", "is to be refitted but has no `fit`"},
    {"firewall: sealed", "firewall: seald",
     "p.yaml:15:11: error: 'seald' is not sealed, isolated, open or a list of pressure channels, did you mean 'sealed'?"},
    {"firewall: sealed", "firewall: [direct, credt]",
     "p.yaml:15:20: error: 'credt' is not a pressure channel, did you mean 'credit'?"},
    {"firewall: sealed", "firewall: {}", "found a map"},
    {"stages:", "stages: {}\nx-stages:", "with at least 1, found 0"},
    {"stages:", "x-stages:", "a pipeline needs `stages`"},
    {"  first:", "  fi/rst:", "'fi/rst' is not a name"},
    {"from: first, fit", "frm: first, fit",
     "unknown key 'frm' in a stage, did you mean 'from'?"},
    {"from: first", "from: fitted",
     "p.yaml:20:18: error: stage 'fitted' starts from itself"},
    {"from: first", "from: loop/a", "stage 'fitted' starts from itself by way of loop"},
    {"from: first", "from: loop", "stage 'loop' is run as its variants alone"},
    {"from: fitted", "from: fited", "no stage 'fited', did you mean 'fitted'?"},
    {"from: fitted", "from: fitted/a", "no variant 'a' of stage 'fitted'"},
    {"fit: [probe]", "fit: [prob]",
     "p.yaml:20:31: error: no detector 'prob', did you mean 'probe'?"},
    {"fresh: [linear]", "sites: [x.y], against: probe", NULL},
    {"fresh: [linear]", "sites: []", NULL},
    {"fresh: [linear]", "against: judge", NULL}, /* it has nothing to fit */
    {"fresh: [linear]", "against: jugde", "no detector 'jugde', did you mean 'judge'?"},
    {"  fitted: {from: first, fit: [probe]}",
     "  fitted: {from: first, audit: {splits: [c], against: probe}}",
     "p.yaml:20:55: error: detector 'probe' is fitted neither by stage 'fitted' nor "
     "before it"},
    {"fit: [probe]", "fit: [judge]", "detector 'judge' has no `fit` that says on what"},
    {"fit: [probe]", "require: {}", "stage 'fitted' needs `train`, `fit` or `audit`"},
    {"fit: [probe]", "fit: [probe], signals: {x: {source: a, channel: monitor}}",
     "has signals but no `train`"},
    {"    train:\n      steps", "    fit: [probe]\n    train:\n      steps",
     "has `train` and `fit`"},
    {"      steps: 5\n", "", "a train block needs `steps` or `updates`"},
    {"      steps: 5\n", "      steps: 5\n      updates: 5\n",
     "`updates` beside `steps`"},
    {"      steps: 5\n", "      steps: 0\n",
     "p.yaml:24:14: error: expected a whole number of at least 1, found '0'"},
    {"      steps: 5\n", "      updates: 5\n",
     "training by `updates` needs `rollouts`"},
    {"      batch: 8\n", "", "training by `steps` needs `batch`"},
    {"      batch: 8\n", "      batch: 8\n      lanes: 65\n",
     "expected a whole number from 1 to 64, found '65'"},
    {"      batch: 8\n", "      batch: 8\n      lanes: 0\n", "found '0'"},
    {"      batch: 8\n", "      batch: 3\n", "a batch of 3 for 4 lanes"},
    {"      batch: 8\n", "      batch: 8\n      micro_batch: 9\n",
     "a micro-batch of 9 from a batch of 8"},
    {"      batch: 8\n", "      batch: 8\n      shadow: prob\n",
     "no detector 'prob', did you mean 'probe'?"},
    {"      batch: 8\n",
     "      batch: 8\n      rollouts: {own: no, b: {policy: own}}\n",
     "p.yaml:26:23: error: expected a rollout, found 'no'"},
    {"      batch: 8\n", "      batch: 8\n      optimizer_state: keep\n",
     "'keep' is not fresh or continue"},
    {"      batch: 8\n", "      batch: 8\n      algorithm: {use: sac}\n",
     "'sac' is not an algorithm, expected a2c, group_relative or ppo"},
    {"{use: adamw, lr: 1e-3, ", "{use: adamx, lr: 1e-3, ",
     "'adamx' is not an optimizer, did you mean 'adamw'?"},
    {"{use: adamw, lr: 1e-3, ", "{lr: 1e-3, ",
     "an optimizer needs `use`, expected adamw, adam or sgd"},
    {"{use: adamw, lr: 1e-3, ", "{use: adamw, ", "an optimizer needs `lr`"},
    {"{use: adamw, lr: 1e-3, ", "{use: adamw, lr: x, ",
     "expected a number of at least 0, or a map from groups to numbers, found 'x'"},
    {"{use: adamw, lr: 1e-3, ", "{use: adamw, lr: {a.b: 1, c: -1}, ", "found '-1'"},
    {"{use: adamw, lr: 1e-3, ", "{use: adamw, lr: {a.b: 1, c: 1}, ", NULL},
    {"{use: adamw, lr: 1e-3, ", "{use: sgd, lr: 1, beta1: 0.9, ",
     "unknown key 'beta1' in an optimizer"},
    {"{use: adamw, lr: 1e-3, ", "{use: adamw, lr: 1, beta2: 1, ",
     "expected a number from 0 to below 1"},
    {"{use: constant}", "{use: constant, final: 0}",
     "unknown key 'final' in a schedule"},
    {"{use: constant}", "{use: step, at: 0.5}", "a schedule needs `factor`"},
    {"{use: constant}", "cosine", "expected a schedule, found 'cosine'"},
    {"[{groups: all, norm: 1.0}]", "{groups: all, norm: 1.0}",
     "expected a list of clip groups, found a map"},
    {"[{groups: all, norm: 1.0}]", "[{groups: all}]", "a clip group needs `norm`"},
    {"[{groups: all, norm: 1.0}]", "[{groups: al, norm: 1}]", "did you mean 'all'?"},
    {"[{groups: all, norm: 1.0}]", "[{groups: all, norm: 1}, {groups: [a], norm: 1}]",
     "a clip group of all groups beside others"},
    {"[{groups: all, norm: 1.0}]",
     "[{groups: [a, b], norm: 1}, {groups: [b], norm: 1}]",
     "'b' in a second clip group"},
    {"press: {source: probe, ", "press: {",
     "p.yaml:30:14: error: a signal needs `source`"},
    {"press: {source: probe, ", "press: {sourc: probe, ",
     "unknown key 'sourc' in a signal, did you mean 'source'?"},
    {"press: {source: probe, ", "press: {source: judge, ",
     "detector 'judge' is in the vault: nothing may train on it"},
    {"press: {source: probe, ", "press: {source: probe, gate: {detector: judge}, ",
     "is in the vault"},
    {"press: {source: probe, ", "press: {source: probe, gate: {detector: prbe}, ",
     "no detector 'prbe', did you mean 'probe'?"},
    {"press: {source: probe, ", "press: {source: probe, gate: {constant: 2}, ",
     "expected a number from 0 to 1, found '2'"},
    {"press: {source: probe, ", "press: {source: probe, gate: {scramble: rows}, ",
     "unknown key 'scramble' in a gate"},
    {"press: {source: probe, ",
     "press: {source: probe, gate: {detector: probe, scramble: rows, through: true}, ",
     "lets no gradient through"},
    {"press: {source: probe, ", "press: {source: {kl: base}, ", NULL},
    {"press: {source: probe, ", "press: {source: {kl: bas}, ",
     "no reference 'bas', did you mean 'base'?"},
    {"press: {source: probe, ", "press: {source: {reward: r}, ",
     "a reward has no gradient"},
    {"press: {source: probe, ", "press: {source: {label: r}, ",
     "a label has no gradient"},
    {"press: {source: probe, ", "press: {source: {cross_entropy: logits}, ",
     "a source needs `targets`"},
    {"press: {source: probe, ",
     "press: {source: {cross_entropy: l, targets: t, reward: r}, ",
     "unknown key 'reward' in a source"},
    {"press: {source: probe, ", "press: {source: probe, on: [own], ",
     "no rollouts 'own'"},
    {"press: {source: probe, ", "press: {source: next_token, trigger: {above: 0.5}, ",
     "a trigger needs a score"},
    {"weight: 2, route: none", "weight: 2",
     "signal 'press' on channel loss needs `route`"},
    {"weight: 2, route: none", "weight: heavy, route: none",
     "expected a number or {from, to, over}, found 'heavy'"},
    {"weight: 2, route: none", "weight: {from: 1}, route: none",
     "a weight's schedule needs `to`"},
    {"weight: 2, route: none", "weight: .inf, route: none", "found '.inf'"},
    {"weight: 2, route: none", "route: {downstream: prob}",
     "no detector 'prob', did you mean 'probe'?"},
    {"weight: 2, route: none", "route: {downstream: blocks.1.x}", NULL},
    {"weight: 2, route: none", "route: {sideways: probe}",
     "unknown key 'sideways' in a route"},
    {"weight: 2, route: none", "route: every",
     "'every' is not all, none, a list of groups"},
    {"weight: 2, route: none", "route: []", "found an empty one"},
    {"channel: loss, weight: 2, route: none", "channel: edit, weight: 2, edit: ablate",
     NULL},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {steer: 2.0, unit: classes}", NULL},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {clamp: 0, features: [3, 1]}", NULL},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {splice: true, error: kept}", NULL},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {ablate: true, to: middle}", NULL},
    {"channel: loss, weight: 2, route: none",
     "channel: monitor, edit: {splice: true, error: kept}", NULL},
    {"channel: loss, weight: 2, route: none", "channel: edit",
     "signal 'press' on channel edit needs `edit`"},
    {"channel: loss, weight: 2, route: none", "channel: edit, edit: ablate, route: all",
     "an edit takes no `route`"},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: ablate, gate: {constant: 0.5}", "an edit takes no `gate`"},
    {"weight: 2, route: none", "edit: ablate, route: none",
     "an edit is for channel edit, and this signal is on loss"},
    {"press: {source: probe, channel: loss, weight: 2, route: none}",
     "press: {source: next_token, channel: edit, edit: ablate}",
     "only a detector can edit"},
    {"press: {source: probe, channel: loss, weight: 2, route: none}",
     "press: {source: judge, channel: edit, edit: ablate}",
     "detector 'judge' is in the vault"},
    {"channel: loss, weight: 2, route: none", "channel: edit, edit: abate",
     "'abate' is not ablate, splice, {ablate: true}"},
    {"channel: loss, weight: 2, route: none", "channel: edit, edit: {ablate: false}",
     "an edit that is not to be made is left out"},
    {"channel: loss, weight: 2, route: none", "channel: edit, edit: {clamp: off}",
     "expected a number, found 'off'"},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {ablate: true, clamp: 2}", "unknown key 'clamp' in an edit"},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {ablate: true, features: [4, 4]}",
     "feature 4 a second time"},
    {"channel: loss, weight: 2, route: none",
     "channel: edit, edit: {ablate: true, features: [-1]}",
     "expected the number of a feature, from 0, found '-1'"},
    {"fresh: [linear]", "edits: {gone: {detector: probe, ablate: true, weight: 0.5}}",
     NULL},
    {"fresh: [linear]", "edits: {gone: {detector: prob, ablate: true}}",
     "no detector 'prob', did you mean 'probe'?"},
    {"fresh: [linear]", "edits: {gone: {ablate: true}}",
     "an edit to measure under needs `detector`"},
    {"channel: loss, weight", "channel: los, weight",
     "'los' is not a channel, did you mean 'loss'?"},
    {"channel: loss, weight", "channel: reward, weight",
     "channel reward needs `algorithm`"},
    {"{every: 2, splits: [c], ", "{evry: 2, splits: [c], ", "did you mean 'every'?"},
    {"fresh: [linear]", "fresh: [lineer]",
     "'lineer' is not a fresh reader, did you mean 'linear'?"},
    {"fresh: [linear]", "against: jugde", "no detector 'jugde', did you mean 'judge'?"},
    {"'>= 0.9'", "0.9", "expected a comparison such as \">= 0.9\", found '0.9'"},
    {"'>= 0.9'", "'=> 0.9'", "expected a comparison"},
    {"'>= 0.9'", "'>= x'", "expected a comparison"},
    {"      a: {}\n", "      a: []\n", "expected a map, found a list"},
    {"      a: {}\n", "      a.b: {}\n", "'a.b' is not a name"},
    {"twin_of: a", "twin_of: c", "no variant 'c' of stage 'loop'"},
    {"    audit", "    twin_of: a\n    audit", "`twin_of` belongs into a variant"},
    {"signals.press.channel: monitor", "signals.pres.channel: monitor",
     "p.yaml:35:11: error: no 'pres' in a map of signals (in the path 'signals.pres.channel'), did you mean 'press'?"},
    {"signals.press.channel: monitor", "signal.press.channel: monitor",
     "did you mean 'signals'?"},
    {"signals.press.channel: monitor", "/stages.loop.train.steps: 0",
     "p.yaml:35:37: error: expected a whole number of at least 1"},
    {"signals.press.channel: monitor", "/detectors.prob.refit: frozen",
     "no 'prob' in a map of detectors"},
    {"signals.press.channel: monitor", "variants.c: {}",
     "a variant may not change 'variants.c'"},
    {"signals.press.channel: monitor", "/seed: 3", "a variant may not change '/seed'"},
    {"signals.press.channel: monitor", "signals.press.nonsense: 1",
     "p.yaml:35:11: error: no 'nonsense' in a signal"},
    {"", "sweep: {seeds: [1, 1]}\n", "p.yaml:36:20: error: the seed 1 a second time"},
    {"", "sweep: {seeds: []}\n", "found an empty one"},
    {"", "sweep: {seeds: 3}\n", "expected a list of seeds, found '3'"},
    {"", "sweep: {seed: [3]}\n", "did you mean 'seeds'?"},
    {"", "sweep: {seeds: [1, x]}\n", "found 'x'"},
    {"", "vars: [1]\n", "expected a map, found a list"},
    {"", "plugins: {paths: [a]}\n", "did you mean 'path'?"},
    {"", "environment: {use: e, parms: {}}\n", "did you mean 'params'?"},
};

/* Training by updates, line by line. */
static const char reinforced[] =
    "interloop: 1\n"                                                            /* 1 */
    "name: reinforced\n"                                                        /* 2 */
    "model: {use: gpt}\n"                                                       /* 3 */
    "data: {use: d}\n"                                                          /* 4 */
    "environment: {use: e}\n"                                                   /* 5 */
    "references: {base: {of: first}}\n"                                         /* 6 */
    "detectors:\n"                                                              /* 7 */
    "  probe: {use: linear_probe, site: s.t, fit: {split: a, label: y}}\n"      /* 8 */
    "firewall: open\n"                                                          /* 9 */
    "stages:\n"                                                                 /* 10 */
    "  first: {audit: {splits: [a]}}\n"                                         /* 11 */
    "  loop:\n"                                                                 /* 12 */
    "    from: first\n"                                                         /* 13 */
    "    train:\n"                                                              /* 14 */
    "      updates: 5\n"                                                        /* 15 */
    "      rollouts: {own: {policy: own, prompts: 2, samples: 4}}\n"            /* 16 */
    "      algorithm: {use: group_relative}\n"                                  /* 17 */
    "      optimizer: {use: adamw, lr: 1e-3}\n"                                 /* 18 */
    "    signals:\n"                                                            /* 19 */
    "      task: {source: {reward: task}, channel: reward, route: all}\n"       /* 20 */
    "      lie: {source: probe, channel: reward, weight: 1, route: all}\n"      /* 21 */
    "      kl: {source: {kl: base}, channel: loss, weight: 0.1, route: all}\n"; /* 22 */

static const edit reinforced_edits[] = {
    {"weight: 1,", "trigger: {above: 0.5},", NULL},
    {"weight: 1,", "gate: {detector: probe},",
     "p.yaml:21:51: error: a gate multiplies losses; a reward takes a trigger: signal "
     "'lie' is on channel reward"},
    {"channel: reward, weight: 1,", "channel: loss, gate: {label: y},", NULL},
    {"weight: 0.1,", "gate: {detector: probe},",
     "p.yaml:22:53: error: a gate multiplies losses row by row, which the source of "
     "signal 'kl' has none of"},
    {"{reward: task}, channel: reward,",
     "{reward: task}, channel: monitor, gate: {constant: 0.5},",
     "the source of signal 'task' has none of"},
    {"source: probe, channel: reward, weight: 1,",
     "source: probe, channel: loss, trigger: {above: 0.5},",
     "a trigger has no gradient: channel reward or monitor"},
    {"source: probe, channel: reward, weight: 1,",
     "source: probe, channel: monitor, trigger: {above: 0.5},", NULL},
    {"use: group_relative", "use: ppo, minibatches: 2, epochs: 3",
     "p.yaml:17:42: error: 2 minibatches of the 2 prompts of 'own' in 2 lanes: each "
     "lane needs one for each"},
    {"own, prompts: 2, samples: 4}}\n      algorithm: {use: group_relative",
     "own, episodes: 8}}\n      algorithm: {use: ppo, minibatches: 2", NULL},
    {"own, prompts: 2, samples: 4}}\n      algorithm: {use: group_relative",
     "own, episodes: 8}}\n      algorithm: {use: a2c, minibatches: 2",
     "unknown key 'minibatches' in an algorithm"},
    {"      updates: 5\n", "      updates: 5\n      shadow: probe\n",
     "p.yaml:16:15: error: a shadow is for training by `steps`, not by `updates`: leave "
     "it out, and spare what 'probe' reads"},
};

/* The text with the first `old` replaced; malloc'ed. */
static char *edited(const char *text, const edit *e)
{
    const char *at = e->old[0] != '\0' ? strstr(text, e->old) : text + strlen(text);
    il_text out = {0};

    ck_assert_msg(at != NULL, "the fixture has no '%s'", e->old);
    il_text_add_bytes(&out, text, (size_t)(at - text));
    il_text_add(&out, e->now);
    il_text_add(&out, at + strlen(e->old));
    return out.data;
}

static void check_text(fixture *f, const char *text)
{
    fixture_open(f);
    fixture_load(f, fixture_file(f, "p.yaml", text), NULL, 0);
    if (f->document != NULL) {
        il_jobs_check(&(il_jobs){0}, f->document, &f->problems);
    }
}

START_TEST(a_good_pipeline_has_no_problem)
{
    fixture f;

    check_text(&f, good);
    fixture_expect(&f, NULL);
    fixture_close(&f);
}
END_TEST

START_TEST(each_edit_is_taken_or_refused_at_its_place)
{
    char *text = edited(good, &edits[_i]);
    fixture f;

    check_text(&f, text);
    fixture_expect(&f, edits[_i].problem);
    fixture_close(&f);
    free(text);
}
END_TEST

START_TEST(each_edit_of_reinforcement_is_taken_or_refused_at_its_place)
{
    char *text = edited(reinforced, &reinforced_edits[_i]);
    fixture f;

    check_text(&f, text);
    fixture_expect(&f, reinforced_edits[_i].problem);
    fixture_close(&f);
    free(text);
}
END_TEST

START_TEST(every_problem_is_reported_once_and_in_order)
{
    static const char text[] =
        "interloop: 1\nname: x\nseeed: 1\nmodel: {use: g}\n"
        "stages:\n"
        "  s:\n"
        "    train: {steps: 0, batch: 4, optimizer: {use: sgd, "
        "lr: -1}}\n"
        "    signals: {a: {source: b, channel: lss, route: all}}\n"
        "    variants: {v: {}, w: {}, u: {}}\n";
    const char *printed;
    const char *at;
    fixture f;

    check_text(&f, text);
    printed = fixture_problems(&f);
    ck_assert_uint_eq(f.problems.count, 4);
    at = strstr(printed, "p.yaml:3:1: error: unknown key 'seeed'");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "p.yaml:7:20: error: ");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "p.yaml:7:59: error: ");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "p.yaml:8:39: error: ");
    ck_assert_ptr_nonnull(at);
    fixture_close(&f);
}
END_TEST

/* Puts a value of another shape in the place of the n-th value of a tree, from the
 * top down; false when there are not that many. */
static bool misshape(il_arena *arena, il_node *root, size_t n, const char *shape)
{
    static const il_place place = {"p.yaml", 99, 1};
    il_node *queue[1024];
    size_t head = 0;
    size_t tail = 0;

    queue[tail++] = root;
    while (head < tail) {
        il_node *node = queue[head++];

        for (size_t k = 0; k < node->count; k++) {
            if (n-- == 0) {
                node->items[k].value = shape[0] == '[' ? il_node_list(arena, place)
                                       : shape[0] == '{'
                                           ? il_node_map(arena, place)
                                           : il_node_scalar(arena, shape, false, place);
                return true;
            }
            ck_assert_uint_lt(tail, 1024);
            queue[tail++] = node->items[k].value;
        }
    }
    return false;
}

static const char *const whole[] = {NULL, "tests/fixtures/pipelines/far_lever.yaml",
                                    "tests/fixtures/pipelines/little_atlas.yaml",
                                    "configs/liar/full.yaml"};

START_TEST(any_shape_anywhere_is_refused_or_taken_but_never_crashes)
{
    static const char *const shapes[] = {"x", "[]", "", "{}", "-1"};
    bool more = true;

    for (size_t n = 0; more; n++) {
        /* Two shapes a value: every kind meets every kind of value more than once. */
        for (size_t shape = n; shape < n + 2; shape++) {
            char *path =
                whole[_i] != NULL ? il_path_join(repository(), whole[_i]) : NULL;
            fixture f;

            fixture_open(&f);
            fixture_load(&f, path != NULL ? path : fixture_file(&f, "p.yaml", good),
                         NULL, 0);
            free(path);
            more = misshape(f.document->arena, f.document->tree, n, shapes[shape % 5]);
            il_jobs_check(&(il_jobs){0}, f.document, &f.problems);
            ck_assert(!f.problems.no_memory);
            fixture_close(&f);
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("schema");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_good_pipeline_has_no_problem);
    tcase_add_loop_test(tc, each_edit_is_taken_or_refused_at_its_place, 0,
                        (int)(sizeof edits / sizeof edits[0]));
    tcase_add_loop_test(tc, each_edit_of_reinforcement_is_taken_or_refused_at_its_place,
                        0, (int)(sizeof reinforced_edits / sizeof reinforced_edits[0]));
    tcase_add_test(tc, every_problem_is_reported_once_and_in_order);
    tcase_add_loop_test(tc, any_shape_anywhere_is_refused_or_taken_but_never_crashes, 0,
                        (int)(sizeof whole / sizeof whole[0]));
    return run_case(tc);
}
