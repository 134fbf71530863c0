#!/bin/sh
# Certificates on a small Liar: closed variants hold to the bit, open ones name step and tensor, and neither changes a run.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

check() { # name, status of the test before
    if [ "$2" -eq 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        failed=1
        cat "$work/out"
    fi
}

certify() { # variant
    "$INTERLOOP" certify "$IL_ROOT/configs/liar/demo.yaml" --set "plugins.path=[$IL_BUILD/plugins]" \
        --runs "$work/runs" --seed 1 --stage loop --variant "$1" \
        --set model.params.width=16 --set model.params.heads=2 \
        --set stages.pretrain.train.steps=12 --set stages.loop.train.steps=6 \
        --set stages.loop.train.batch=16 >"$work/out" 2>&1
}

for variant in frozen shadow; do
    certify $variant
    check "certify exits 0 for $variant" $?
    grep -q 'certificate holds against probe' "$work/out"
    check "the certificate of $variant holds" $?
    grep -q 'verdict closed' "$work/out"
    check "and its verdict was closed" $?
done
for variant in naive leaky; do
    certify $variant
    check "certify exits 0 for $variant, which is open" $?
    grep -Eq 'certificate fails against probe: step [0-9]+, tensor [a-zA-Z0-9_.]+ differs \(verdict open\)' \
        "$work/out"
    check "the certificate of $variant names the first step and tensor" $?
done
certify monitor
grep -q 'nothing to certify' "$work/out"
check "there is nothing to certify where nothing presses" $?

"$INTERLOOP" explain "$IL_ROOT/configs/liar/demo.yaml" --set "plugins.path=[$IL_BUILD/plugins]" \
    --stage loop --variant leaky --set stages.loop.variants.leaky.firewall=sealed >"$work/out" 2>&1
[ $? -eq 2 ]
check "explain exits 2 when leaky is to be sealed" $?
grep -q 'language → blocks.3' "$work/out"
check "and names the path that opens it" $?
"$INTERLOOP" run "$IL_ROOT/configs/liar/demo.yaml" --set "plugins.path=[$IL_BUILD/plugins]" \
    --runs "$work/sealed" --set stages.loop.variants.leaky.firewall=sealed >"$work/out" 2>&1
[ $? -eq 2 ] && grep -q 'language → blocks.3' "$work/out" && [ ! -d "$work/sealed/.stages" ]
check "run exits 2 with the path, before anything is trained" $?
"$INTERLOOP" run "$IL_ROOT/configs/liar/demo.yaml" --set "plugins.path=[$IL_BUILD/plugins]" \
    --runs "$work/sealed" --stage nowhere >"$work/out" 2>&1
[ $? -eq 2 ]
check "an unknown stage is wrong input" $?
exit $failed
