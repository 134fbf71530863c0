#!/usr/bin/env bash
# Detectors in closed form against scikit-learn as it is installed here: the fixture is made anew,
# and the test that `make test` runs on the stored one runs on that.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
built=${IL_BUILD#"$IL_ROOT/"}/tests/plugins
name="detectors in closed form score as scikit-learn's do"

if ! "$PYTHON" -c 'import sklearn, safetensors.numpy' 2>/dev/null; then
    echo "skip - $name: $PYTHON cannot import sklearn and safetensors"
elif make -s -C "$IL_ROOT" "$built/test_closed_form" &&
    "$PYTHON" "$IL_ROOT/tests/fixtures/sklearn/make_closed_form.py" "$folder/closed_form.safetensors" &&
    IL_SKLEARN_FIXTURE="$folder/closed_form.safetensors" "$IL_BUILD/tests/plugins/test_closed_form"; then
    echo "ok - $name"
else
    echo "not ok - $name"
fi
