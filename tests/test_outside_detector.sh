#!/usr/bin/env bash
# A detector outside the tree, used by its id in a pipeline: the first plugin of the
# documentation, built by its own Makefile, is fitted and judged like one of the tree's.
set -u
. "$IL_ROOT/tests/checks.sh"

if ! [ -f "${WORDNET:-/usr/share/wordnet}/data.noun" ]; then
    echo "ok - skipped: no WordNet here"
    exit 0
fi

prefix=$folder/prefix
make -s -C "$IL_ROOT" install DESTDIR= PREFIX="$prefix" >"$folder/out" 2>&1
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig HOME=$folder/home
unset XDG_DATA_HOME INTERLOOP_PLUGIN_PATH INTERLOOP
mkdir "$folder/mine" "$HOME"
cp "$IL_ROOT"/docs/examples/first_plugin/* "$folder/mine"
check "the plugin is built outside the tree" env -u MAKEFLAGS -u MFLAGS \
    PATH="$prefix/bin:$PATH" make -C "$folder/mine" CFLAGS=-Werror

cat >"$folder/outside.yaml" <<'YAML'
interloop: 1
name: outside
seed: 1
model:
  use: gpt
  params: {layers: 4, width: 16, heads: 2, context: 43, tied: false}
data:
  use: wordnet_personas
  params: {root: "${env:WORDNET:-/usr/share/wordnet}", split_seed: 0}
detectors:
  probe:
    use: your_lab.scaled_probe
    params: {sharpness: 2}
    site: blocks.2.hook_resid_post
    tokens: claims
    fit: {split: probe_train, label: deceiver}
    threshold: {split: probe_calib, fpr: 0.05, unit: token}
firewall: sealed
stages:
  pretrain:
    train:
      steps: 10
      batch: 64
      lanes: 4
      optimizer: {use: adamw, lr: 3e-3}
    signals:
      language: {source: next_token, channel: loss, route: all}
  fitted:
    from: pretrain
    fit: [probe]
    audit: {splits: [probe_test]}
YAML
run() {
    "$prefix/bin/interloop" run "$folder/outside.yaml" --runs "$folder/runs" \
        --no-report "$@"
}
without() { ! run && run 2>&1 | grep -qF your_lab.scaled_probe; }
check "without its folder the run is refused and names it" without
check "with its folder the run succeeds" run --plugin-path "$folder/mine"
check "the probe is judged" grep -q '"probe.auroc": 0\.' "$folder/runs/outside/summary.json"
check "the run's lock names the plugin" \
    grep -q scaled_probe "$folder/runs/outside/plugins.lock"
exit $failed
