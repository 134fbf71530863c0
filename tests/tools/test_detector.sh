#!/bin/bash
# interloop detector on activations from files: fitted, saved, judged, and every way in which
# files do not fit refused.
set -u

interloop=${INTERLOOP:?}
export INTERLOOP_PLUGIN_PATH=${IL_BUILD:?}/plugins
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bad=0

check() { # name, then a command that must succeed
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/#   /' "$folder/out" "$folder/err"
        bad=1
    fi
}

exits() { # code, then a command
    local code=$1
    shift
    "$@" >"$folder/out" 2>"$folder/err"
    [ $? -eq "$code" ]
}

says() { grep -q -- "$1" "$folder/out" "$folder/err"; }

# npy FILE TYPE SHAPE HEX: an array, its data as hexadecimal digits
npy() {
    local text="{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"
    {
        printf '\223NUMPY\001\000'
        printf "\\x$(printf %02x ${#text})\\x00"
        printf %s "$text"
        printf %s "$4" | sed 's/../\\x&/g' | xargs -0 printf
    } >"$folder/$1"
}

# Activations of two channels, 240 rows: the first is the label and some noise.
one=0000803f half=0000003f minus=000080bf zero=00000000
acts='' labels='' ids='' other=''
for row in $(seq 0 239); do
    positive=$((row * 7 / 10 % 2))
    noise=$((row * 13 % 5))
    case $positive$noise in
    1[0-3] | 04) acts+=$one ;;
    *) acts+=$minus ;;
    esac
    acts+=$([ $noise -lt 2 ] && echo $half || echo $zero)
    labels+=$(printf %02x $positive)
    ids+=$(printf %02x $((row / 2)))00000000000000
    other+=$(printf %02x $((row / 2)))01000000000000
done
npy x.npy '<f4' '240, 2' "$acts"
npy y.npy '|u1' '240,' "$labels"
npy d.npy '<i8' '240,' "$ids"
npy e.npy '<i8' '240,' "$other"
npy wide.npy '<f4' '160, 3' "$acts"
npy wrong.npy '|u1' '240,' "02${labels:2}"
npy ones.npy '|u1' '240,' "$(echo "$labels" | sed 's/00/01/g')"
npy short.npy '|u1' '239,' "${labels:2}"
npy nan.npy '<f4' '240, 2' "0000c07f${acts:8}"
npy flat.npy '<f4' '240, 2' "$(echo "$acts" | sed 's/./0/g')"
npy apart.npy '<i8' '240,' "${ids:32}${ids:0:32}"
npy mixed.npy '<i8' '240,' "${ids:16}${ids:0:16}"
npy cut.npy '<f4' '240, 2' "${acts:8}"
cd "$folder" || exit 1

fit() { "$interloop" detector fit --acts x.npy --labels y.npy --out f.safetensors "$@"; }
eval_() { "$interloop" detector eval f.safetensors "$@"; }

check "a probe is fitted on arrays" exits 0 fit --use linear_probe --ids d.npy --fpr 0.1
check "the threshold's negatives are counted" says "negatives in the documents held back"
check "it is judged on others" exits 0 eval_ --acts x.npy --labels y.npy --ids e.npy
check "and tells them apart" says "AUROC  *0\.[89]"
check "with the counts behind" says "positive, .* negative"
check "and its own threshold" says "recall at its threshold"
check "documents that fitted it do not judge it" \
    exits 2 eval_ --acts x.npy --labels y.npy --ids d.npy
check "which is said" says "document 0 fitted this detector"
check "unless ids mean something else" \
    exits 0 eval_ --acts x.npy --labels y.npy --ids d.npy --accept ids
check "JSON has the same" exits 0 eval_ --acts x.npy --labels y.npy --ids e.npy --json
check "by name" says '"auroc": 0\.[89]'
check "a method and params are taken" \
    exits 0 fit --use mlp_probe --set hidden=4 --steps 20 --seed 3
check "a closed form, too" exits 0 fit --use lda
check "and the exact one" exits 0 fit --use linear_probe --method lbfgs --l2 0.001
check "a parameter that there is not is named" exits 2 fit --use mlp_probe --set hiden=4
check "with the nearest" says "hidden"

cp f.safetensors before
check "labels of another length are refused" \
    exits 2 "$interloop" detector fit --use lda --acts x.npy --labels short.npy --out f.safetensors
check "with both lengths" says "short.npy: error: labels: expected shape (240,).* got (239,)"
check "labels that are none are refused" \
    exits 2 "$interloop" detector fit --use lda --acts x.npy --labels wrong.npy --out f.safetensors
check "with their place" says "wrong.npy: error: element 0: expected 0 or 1"
check "one class is refused" \
    exits 2 "$interloop" detector fit --use lda --acts x.npy --labels ones.npy --out f.safetensors
check "with the counts" says "both classes, got 240 of 240"
check "activations that are no numbers are refused" \
    exits 2 "$interloop" detector fit --use lda --acts nan.npy --labels y.npy --out f.safetensors
check "with row and channel" says "row 0, channel 0"
check "constant activations are refused" \
    exits 1 "$interloop" detector fit --use lda --acts flat.npy --labels y.npy --out f.safetensors
check "in words" says "activations are constant"
check "a file cut short is refused" \
    exits 2 "$interloop" detector fit --use lda --acts cut.npy --labels y.npy --out f.safetensors
check "with its bytes" says "expected 1920 bytes of data"
check "documents in pieces are refused" exits 2 fit --use lda --ids mixed.npy
check "with the document" says "document 0 comes again"
check "documents in another order are not" exits 0 fit --use lda --ids apart.npy
check "no labels are refused" \
    exits 2 "$interloop" detector fit --use lda --acts x.npy --out g.safetensors
check "an unknown component is refused" exits 2 fit --use lad
check "an unknown file is an error" \
    exits 1 "$interloop" detector fit --use lda --acts no.npy --labels y.npy --out g.safetensors

check "a site of another width is refused" \
    exits 2 eval_ --acts wide.npy --labels y.npy
fit --use linear_probe >out 2>err
check "the tensor is named" exits 2 eval_ --acts wide.npy --labels short.npy
check "another site is refused" exits 2 eval_ --acts x.npy --labels y.npy --site embed
check "with both names" says "reads 'activations'.* have 'embed'"
check "and taken when accepted" \
    exits 0 eval_ --acts x.npy --labels y.npy --site embed --accept site
check "what is no detector is refused" \
    exits 2 "$interloop" detector eval x.npy --acts x.npy --labels y.npy
check "an unknown word is wrong input" exits 2 "$interloop" detector fiddle
check "as is an unknown option" exits 2 fit --use lda --loud
check "as is a number that is none" exits 2 fit --use lda --fpr much
check "help is given" exits 0 "$interloop" detector fit --help
check "of all words" exits 0 "$interloop" detector --help
exit $bad
