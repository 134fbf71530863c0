#!/bin/sh
# The matrix sources × readers over reinforcement: every arm of Far Lever and Little Atlas opens the channels that it should and
# no other, with a path for each; demands refuse what falls short; certificates agree with the verdicts.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fixtures=$IL_ROOT/tests/fixtures/firewall

check() { # name, status of the test before
    if [ "$2" -eq 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        failed=1
        cat "$work/out"
    fi
}

interloop() { # verb, pipeline, options
    verb=$1
    pipeline=$2
    shift 2
    "$INTERLOOP" "$verb" "$fixtures/$pipeline.yaml" --set "plugins.path=[$IL_BUILD/plugins]" "$@" >"$work/out" 2>&1
}

# The names of the channels that are open from a detector to itself in a variant or stage of the page in $work/page; "none" where it
# has no row at all.
channels() { # variant or stage, detector
    awk -v variant="$1" -v detector="$2" '
        /^stage / { here = $0 ~ "(, variant|^stage) " variant "," }
        here && /^source → reader/ { for (i = 4; i <= NF; i++) name[i] = $i }
        here && $1 == detector && $2 == "→" && $3 == detector && NF == 11 {
            row = "-"
            for (i = 4; i <= NF; i++) if ($i == "●") row = (row == "-" ? "" : row " ") name[i]
        }
        END { print row == "" ? "none" : row }' "$work/page"
}

opens() { # variant or stage, detector, the channels
    open=$(channels "$1" "$2")
    echo "$1: expected '$3', got '$open'" >"$work/out"
    [ "$open" = "$3" ]
    check "$1 opens: $3" $?
    for channel in $3; do
        [ "$channel" = none ] || [ "$channel" = - ] && continue
        awk -v variant="$1" -v detector="$2" -v channel="$channel" '
            /^stage / { here = $0 ~ "(, variant|^stage) " variant ","; pair = 0 }
            here && NF == 3 && $2 == "→" { pair = $1 == detector && $3 == detector }
            here && pair && $1 == channel && /→/ { found = 1 }
            END { exit !found }' "$work/page"
        check "$1 has a path for $channel" $?
    done
}

# ---- every row of the matrix, and what later stages inherit

interloop explain far_lever
check "explain takes every arm of Far Lever" $?
cp "$work/out" "$work/page"
for variant in task oracle; do
    opens $variant suffering none
done
for variant in brain brain_hard brain_prec brain_ppo brain_replay; do
    opens $variant suffering "data input"
done
for variant in brain_refit brain_both; do
    opens $variant suffering "data input reader"
done
opens brain_offline suffering "input"
for variant in e2e e2e_s task_only_to_belief; do
    opens $variant suffering "credit relay state data input"
done
opens naive suffering "direct credit relay state data input"
opens bayes ideal "input"
opens after suffering "data input"
opens after_offline suffering "data"
opens after_fit suffering "data reader"

interloop explain little_atlas
check "explain takes every arm of Little Atlas" $?
cp "$work/out" "$work/page"
opens none deception none
opens loss deception "direct relay state data input reader"
opens reward deception "credit relay state data input reader"
opens reward_to_the_end deception "input"

# The pipelines that come with it.
for page in off on; do
    "$INTERLOOP" explain "$IL_ROOT/configs/far_lever/$page.yaml" --set "plugins.path=[$IL_BUILD/plugins]" >"$work/page" 2>"$work/out"
    check "explain takes configs/far_lever/$page.yaml" $?
    opens task suffering none
    opens oracle suffering none
    opens brain suffering "data input selection"
    opens brain_hard suffering "data input selection"
    opens naive suffering "direct credit relay state data input selection"
done
opens brain_prec suffering "data input selection"
opens brain_refit suffering "data input reader selection"
opens brain_offline suffering "input selection"
opens bayes ideal "input"
"$INTERLOOP" explain "$IL_ROOT/configs/little_atlas/full.yaml" --set "plugins.path=[$IL_BUILD/plugins]" >"$work/page" 2>"$work/out"
check "explain takes configs/little_atlas/full.yaml" $?
opens none deception none
opens loss deception "direct relay state data input reader selection"
opens reward deception "credit relay state data input reader selection"

# ---- demands

refused() { # variant, demand, words of the refusal
    interloop explain far_lever --stage mode --variant "$1" --set "stages.mode.variants.$1.firewall=$2"
    [ $? -eq 2 ]
    check "explain exits 2 when $1 is to be $2" $?
    grep -Fq "$3" "$work/out"
    check "and says how to make it so: $3" $?
    interloop run far_lever --stage mode --variant "$1" --set "stages.mode.variants.$1.firewall=$2" --runs "$work/refused"
    [ $? -eq 2 ] && [ ! -d "$work/refused/.stages" ]
    check "run exits 2, before anything is trained" $?
}

refused e2e sealed 'write `signals.compassion.route: {downstream: suffering}`'
refused naive sealed 'write `signals.evade.route: {downstream: suffering}`'
refused brain isolated 'write `train.rollouts.explore: {policy: exploratory, episodes: 16}, and signals.prediction.on: [explore]`'
grep -Eq 'prediction → rows chosen by policy[.a-zA-Z_]* \[changed by suffering\] → gru[.a-zA-Z_]*, read by suffering' "$work/out"
check "with the path from the policy to the belief" $?
refused brain_replay isolated 'write `signals.prediction.on: [explore]`'
interloop explain far_lever --stage mode --variant brain_offline
check "brain_offline is isolated" $?

# ---- certificates

certify_atlas() { # variant
    interloop certify little_atlas --runs "$work/runs" --seed 1 --stage rl --variant "$1" --recorded
}
certify_atlas reward
grep -Eq 'certificate fails against deception on recorded episodes: update 1, tensor [a-zA-Z0-9_.]+ differs \(verdict open\)$' \
    "$work/out"
check "the certificate of Little Atlas's reward fails with the first update and tensor" $?
certify_atlas reward_to_the_end
grep -q 'certificate holds against deception on recorded episodes.* over 3 updates (verdict closed)' "$work/out"
check "and holds where nothing that is read is trained" $?

certify() { # variant, options
    variant=$1
    shift
    interloop certify far_lever --runs "$work/runs" --seed 1 --stage mode --variant "$variant" "$@"
}

for variant in brain brain_hard brain_replay brain_offline brain_ppo; do
    certify $variant --recorded
    check "certify exits 0 for $variant on recorded episodes" $?
    grep -q 'certificate holds against suffering on recorded episodes.* (verdict closed)' "$work/out"
    check "and the certificate of $variant holds" $?
done
for variant in e2e e2e_s naive task_only_to_belief; do
    certify $variant --recorded
    check "certify exits 0 for $variant, which is open" $?
    grep -Eq 'certificate fails against suffering on recorded episodes: update 1, tensor gru[.a-zA-Z_]* differs \(verdict open\)$' \
        "$work/out"
    check "the certificate of $variant fails with the first update and tensor" $?
done
certify brain
check "certify exits 0 for brain on live episodes, whose data is open" $?
grep -Eq 'certificate fails against suffering: update ([0-9]+), tensor gru[.a-zA-Z_]* differs \(verdict open\); the episodes differ from update [2-9][0-9]* on \(own, [a-z]+\)' \
    "$work/out"
check "and the first update is named at which the episodes differ" $?
certify brain_offline
check "certify exits 0 for brain_offline on live episodes" $?
grep -Eq 'certificate holds against suffering: .* \(verdict closed\); the episodes differ from update [2-9][0-9]* on' "$work/out"
check "whose belief keeps its bits though the agent acts otherwise" $?

# Beside a run they stand on its report, recorded and live each for itself.
interloop run far_lever --stage mode --variant brain --runs "$work/runs" --seed 1
check "the arm runs" $?
certify brain --recorded && certify brain && certify brain --recorded
check "and is certified afterwards" $?
entries=$(grep -c '"source": "suffering"' "$work/runs/firewall_far_lever/certificates.json")
[ "$entries" = 2 ] && grep -q '"recorded": true' "$work/runs/firewall_far_lever/certificates.json" &&
    grep -Eq '"data_step": [2-9]' "$work/runs/firewall_far_lever/certificates.json"
check "its folder keeps one certificate of each kind" $?
"$INTERLOOP" report "$work/runs/firewall_far_lever" >"$work/out" 2>&1
grep -q 'on the same recorded episodes, scrambling the score changed no bit' "$work/runs/firewall_far_lever/report.html" &&
    grep -q '; the episodes differ from update' "$work/runs/firewall_far_lever/report.html"
check "and its report says which is which" $?
certify task
grep -q 'nothing to certify' "$work/out"
check "there is nothing to certify where nothing presses" $?
exit $failed
