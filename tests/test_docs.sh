#!/usr/bin/env bash
# The references are those of the program and the headers, and no page leads nowhere.
set -u
interloop=${INTERLOOP:?}
. "$IL_ROOT/tests/checks.sh"
cd "$IL_ROOT" || exit 1

"$interloop" config reference >"$folder/pipeline.md"
sh tools/docs/abi.sh >"$folder/abi.md"
if [ -n "${IL_BLESS:-}" ]; then
    cp "$folder/pipeline.md" "$folder/abi.md" docs/reference
fi
check "the reference of the pipeline file is the program's (make bless)" \
    diff docs/reference/pipeline.md "$folder/pipeline.md"
check "the reference of the plugin ABI is the headers' (make bless)" \
    diff docs/reference/abi.md "$folder/abi.md"

# Links to files, relative to the page; to the web and within a page are not looked at.
dead() {
    local page link target
    while read -r page; do
        grep -oE '\]\([^)# ]+' "$page" | sed 's/^](//' | while read -r link; do
            case $link in
            *://* | mailto:*) continue ;;
            esac
            target=$(dirname "$page")/$link
            [ -e "$target" ] || echo "$page: $link"
        done
    done < <(git ls-files '*.md' 2>/dev/null || find . -name '*.md' -not -path './build/*')
}
dead >"$folder/out"
check "every link between pages leads somewhere" not [ -s "$folder/out" ]
check "every page under docs/ can be reached from the index" bash -c '
    for page in docs/*.md docs/experiments/*.md docs/reference/*.md; do
        [ "$page" = docs/index.md ] || grep -qF "(${page#docs/})" docs/index.md || { echo "$page"; exit 1; }
    done'
exit $failed
