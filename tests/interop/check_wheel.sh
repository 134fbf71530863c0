#!/usr/bin/env bash
# The wheel as a package index and a stranger's environment see it: its tags, its metadata, the limited API and the syntax of
# the oldest Python that it names; installed by pip into an environment of its own, used far from the tree. PYTHONS names
# further interpreters with PyTorch, by blanks, in which the package's checks are to run as well.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

ok() { # ok NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/out" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$folder/out"
    fi
}
module() { # module NAME FILE...: a tool of $PYTHON's environment, if it is there
    "$PYTHON" -c "import $1" 2>/dev/null
}
if ! bash "$IL_ROOT/tests/interop/wheel.sh" "$folder" >"$folder/site.path" 2>"$folder/errors"; then
    cat "$folder/errors"
    echo "not ok - the wheel is built"
    exit 1
fi
wheel=$(tail -n 1 "$folder/wheel.out")
wheel=$(cd "$IL_ROOT" && realpath "$wheel")
bin=$(dirname "$(command -v "$PYTHON")")

same_again() {
    cp "$wheel" "$folder/first.whl" && rm "$wheel" && make -s -C "$IL_ROOT" wheel && cmp "$wheel" "$folder/first.whl"
}
ok "the wheel has the same bytes when it is built again" same_again

if module abi3audit; then
    audited() { # says what it found, and by its status only sometimes
        "$bin/abi3audit" --strict --verbose --report "$wheel" >"$folder/report.json" &&
            ! grep -q '"non_abi3_symbols": \[[^]]' "$folder/report.json"
    }
    ok "the extension keeps to the limited API of 3.9" audited
else
    echo "skip - the extension keeps to the limited API: $PYTHON has no abi3audit"
fi
if module vermin; then
    ok "the package is written in Python 3.9" "$bin/vermin" -q -t=3.9- --violations --no-tips \
        "$IL_ROOT/tools/python/interloop"
else
    echo "skip - the package is written in Python 3.9: $PYTHON has no vermin"
fi
if module twine; then
    ok "its metadata are in order" "$PYTHON" -m twine check --strict "$wheel"
else
    echo "skip - its metadata are in order: $PYTHON has no twine"
fi
if module check_wheel_contents; then
    ok "its contents are in order" "$bin/check-wheel-contents" "$wheel"
else
    echo "skip - its contents are in order: $PYTHON has no check-wheel-contents"
fi

# An environment of its own, with this one's PyTorch lent to it.
if module torch && "$PYTHON" -m venv "$folder/venv" >/dev/null 2>&1; then
    mine="$folder/venv/bin/python"
    "$PYTHON" -c 'import sys; print(*[p for p in sys.path if p.endswith("-packages")], sep="\n")' \
        >"$("$mine" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
    ok "pip installs it" "$mine" -m pip install --quiet --no-index --no-deps --ignore-installed "$wheel"
    mkdir "$folder/elsewhere"
    away() {
        (cd "$folder/elsewhere" && env -i HOME="$folder/elsewhere" PATH=/usr/bin:/bin "$mine" -X dev -W error -c '
import importlib.metadata, os
about = importlib.metadata.metadata("interloop")
assert about["License-Expression"] == "MIT" and "il.load" in about.get_payload(), about
files = importlib.metadata.files("interloop")
assert any(f.name == "LICENSE" for f in files)
import torch, interloop as il
assert il.__version__ == about["Version"]
x = torch.randn(200, 8)
rows = il.Activations(x, (x[:, 0] > 0).to(torch.uint8))
for use in ("linear_probe", "mlp_probe", "sae", "knn", "lda"):
    d = il.fit(use, rows, params={"features": 16, "k": 4} if use == "sae" else {}, steps=20 if use == "sae" else 0)
    d.save("d.safetensors")
    assert torch.equal(il.load("d.safetensors")(x), d(x)), use
')
    }
    ok "it finds its plugins and its libraries from any folder, in Python's development mode" away
    ok "and goes without a trace" sh -c "'$mine' -m pip uninstall --quiet --yes interloop && ! find '$folder/venv' -name '*interloop*' | grep ."
else
    echo "skip - pip installs it: $PYTHON has no torch or no venv"
fi

for other in ${PYTHONS:-}; do
    PYTHON=$other bash "$IL_ROOT/tests/interop/check_bridge.sh" >"$folder/out" 2>&1
    if [ $? -eq 0 ] && ! grep -q '^not ok' "$folder/out" && grep -q '^ok' "$folder/out"; then
        echo "ok - $("$other" -c 'import sys, torch; print(f"CPython {sys.version.split()[0]} with PyTorch {torch.__version__}")'): $(grep -c '^ok' "$folder/out") checks of the package"
    else
        echo "not ok - $other: checks of the package"
        grep -v '^ok' "$folder/out" | sed 's/^/    /'
    fi
done
