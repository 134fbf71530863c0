#!/usr/bin/env bash
# One lab writes a detector, checks it, packs and signs it; another, with an empty home of its
# own, verifies it, trusts the key, installs it and uses it in a pipeline; and each way in which
# trust can be wanting is refused before anything of the plugin runs.
set -u
. "$IL_ROOT/tests/checks.sh"

prefix=$folder/prefix
make -s -C "$IL_ROOT" install DESTDIR= PREFIX="$prefix" >"$folder/out" 2>&1
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
unset XDG_DATA_HOME XDG_CONFIG_HOME INTERLOOP_PLUGIN_PATH INTERLOOP
command=$prefix/bin/interloop
mkdir "$folder/writer" "$folder/user"
cd "$folder" || exit 1

writer() { HOME=$folder/writer "$command" "$@" >"$folder/out" 2>&1; }
user() { HOME=$folder/user "$command" "$@" >"$folder/out" 2>&1; }

# --- the writer ---
check "a plugin is made" writer plugin new detector lab.mine
sed -i 's/"sharpness"/"keenness"/; s/IL_PARAM_REAL("keenness", "1"/IL_PARAM_REAL("keenness", "2"/' \
    mine/mine.c
sed -i 's/sharpness: 1/keenness: 3/' mine/example.yaml
echo "MIT" >mine/LICENSE
check "ten lines later it builds" \
    env -u MAKEFLAGS -u MFLAGS HOME="$folder/writer" make -C mine all
check "it is well behaved" writer plugin check mine/mine.so
check "a key is made" writer bundle key lab
check "which only its owner may read" [ "$(stat -c %a lab.key)" = 600 ]
check "and is not made twice" not writer bundle key lab
mv lab.pub kept.pub
check "nor half of it" not writer bundle key lab
check "a new public key beside the old secret one" not [ -e lab.pub ]
mv kept.pub lab.pub
check "a bundle is packed and signed" writer bundle pack mine/mine.so --key lab.key
check "it is called by id and version" [ -f lab.mine-0.1.0.ilb ]

bundle=$(ls ./*.ilb)
if command -v unzip >/dev/null; then
    mkdir "$folder/open"
    (cd "$folder/open" && unzip -q "$folder/$bundle")
    check "sha256sum alone checks it" \
        sh -c "cd '$folder/open' && sha256sum --strict -c SHA256SUMS"
    check "its example, readme and licence are in it" \
        [ -f open/example.yaml -a -f open/README.md -a -f open/LICENSE ]
    if command -v minisign >/dev/null; then
        check "minisign alone checks who signed it" \
            minisign -Vm open/SHA256SUMS -p lab.pub
        minisign -G -W -p other.pub -s other.key >/dev/null
        check "a key that minisign made signs one" \
            writer bundle pack mine/mine.so --key other.key --out other.ilb
        check "and is known again" writer bundle verify other.ilb --key other.pub
    fi
fi

# --- the user ---
cat >use.yaml <<YAML
interloop: 1
name: theirs
extends: mine/example.yaml
plugins: {path: [], trust: signed}
YAML
run() { user run use.yaml --runs "$folder/runs" --no-report "$@"; }
sed -i 's/path: \[\], //' use.yaml
mv mine/mine.so "$folder/mine.so" # the writer's folder is not the user's

check "a stranger's bundle does not verify" not user bundle verify "$bundle"
check "since nobody trusts its key" says "no trusted key signed it"
check "nor is it installed" not user bundle install "$bundle"
check "nothing of it is there" not [ -e "$folder/user/.local/share/interloop/plugins/lab.mine.so" ]
check "a pipeline cannot use it" not run
check "the key is trusted" user bundle trust lab.pub
check "now it verifies" user bundle verify "$bundle"
check "and is installed" user bundle install "$bundle"
check "the list names who signed it" user bundle list
check "with its id" says "lab.mine"
check "a pipeline that asks for signed plugins uses it" run
check "and can set its params" run --set detectors.probe.params.keenness=5
check "the run has locked what it loaded" grep -q '"id": "lab.mine"' runs/theirs/plugins.lock

# --- versions, and what a bundle says of itself ---
renewed() { # another version, by somebody who would clear the screen, packed as new.ilb
    sed -i 's/"0\.1\.0"/"0.2.0"/; s/"Your name"/"\\033[2J"/' mine/mine.c
    env -u MAKEFLAGS -u MFLAGS HOME="$folder/writer" make -C mine all &&
        writer bundle pack mine/mine.so --key lab.key --out new.ilb
}
check "a newer version is packed" renewed
mv mine/mine.so new.so
check "it is installed over the older one" user bundle install new.ilb
check "without a word on that" not says "which is newer"
check "what it says commands no terminal" not grep -q "$(printf '\033')" out
check "and is not shown" says "(not printable)"
check "the older one can be installed again" user bundle install "$bundle"
check "with a warning" says "warning: 0.2.0 was installed, which is newer"

# --- locks ---
cp runs/theirs/plugins.lock .
cat >locked.yaml <<YAML
interloop: 1
name: locked
extends: use.yaml
plugins: {trust: locked, lock: plugins.lock}
YAML
check "the same bytes pass the lock" user run locked.yaml --runs "$folder/runs" --no-report
grep -v '"lab.mine"' plugins.lock >shorter.lock
check "what the lock does not list is not loaded" not user run locked.yaml \
    --runs "$folder/runs" --no-report --set plugins.lock=shorter.lock
check "and the lock is named" says "it is not in the lock"
echo 'not a lock' >wrong.lock
check "what is no lock is refused" not user run locked.yaml --runs "$folder/runs" \
    --no-report --set plugins.lock=wrong.lock
check "by its line" says "wrong.lock: error: line 1: expected a plugin's id and sha256"
check "a lock must be named" not user config validate use.yaml --set plugins.trust=locked
check "with what is wanting" says "needs \`lock\`"

# --- what changed afterwards ---
installed=$folder/user/.local/share/interloop/plugins/lab.mine.so
cp "$installed" kept.so
sed 's/keenness/keenest_/g' kept.so >"$installed"
check "a plugin that changed is listed as that" user bundle list
check "in capitals" says "CHANGED"
check "and is not loaded" not run
cp kept.so "$installed"
check "put back, it is" run
: >"$folder/user/.config/interloop/trusted_keys"
check "a key that is trusted no more vouches for nothing" not run
check "which the refusal says" says "no bundle that a trusted key signed"
chmod o+w "$folder/user/.config/interloop/trusted_keys"
check "keys that everybody may write are refused" not user bundle verify "$bundle"
check "with the way out" says "chmod o-w"
exit $failed
