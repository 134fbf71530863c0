# Completion of interloop for bash, and for zsh through bashcompinit. Words and options are
# asked of the program, so they are those of the version that is installed.
_interloop_words() { # of a verb's help: options, or the words that may follow it
    interloop "$1" --help 2>/dev/null | grep -oE -- "$2" | sort -u
}

_interloop() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        # shellcheck disable=SC2207 # words without spaces
        COMPREPLY=($(compgen -W "$(interloop --help 2>/dev/null |
            sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p') --help --version" -- "$word"))
        return
    fi
    case $before in
    --runs | --out | --plugin-path | --file | --key | --signature | --password-file)
        # shellcheck disable=SC2207
        COMPREPLY=($(compgen -f -- "$word"))
        return
        ;;
    esac
    case $word in
    -*)
        # shellcheck disable=SC2207
        COMPREPLY=($(compgen -W "$(_interloop_words "$verb" '--[a-z][a-z-]*')" -- "$word"))
        return
        ;;
    esac
    if [ "$COMP_CWORD" -eq 2 ]; then
        # shellcheck disable=SC2207
        COMPREPLY=($(compgen -W "$(_interloop_words "$verb" "interloop $verb [a-z]+" |
            sed 's/.* //')" -- "$word"))
    fi
    # shellcheck disable=SC2207
    COMPREPLY+=($(compgen -f -- "$word"))
}
complete -o filenames -F _interloop interloop
