#compdef interloop
# Completion of interloop for zsh: words and options are asked of the program.
_interloop() {
    local -a words_found
    if (( CURRENT == 2 )); then
        words_found=(${(f)"$(interloop --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\)  *\(.*\)$/\1:\2/p')"})
        _describe verb words_found
        return
    fi
    if [[ $words[CURRENT] == -* ]]; then
        words_found=(${(f)"$(interloop $words[2] --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u)"})
        compadd -a words_found
        return
    fi
    if (( CURRENT == 3 )); then
        words_found=(${(f)"$(interloop $words[2] --help 2>/dev/null |
            grep -oE "interloop $words[2] [a-z]+" | sed 's/.* //' | sort -u)"})
        compadd -a words_found
    fi
    _files
}
_interloop "$@"
