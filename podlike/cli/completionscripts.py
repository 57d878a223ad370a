"""The scripts of `completion SHELL`. Each asks `PROG __complete WORD...` and does what the directive says: see complete.py.

In the texts @PROG@ is the program's name, @FUNC@ the same as part of a function's name, @ASK@ the hidden command.
"""

_BASH = r"""# bash completion for @PROG@                                -*- shell-script -*-

# bash cuts words at : and = too, which are part of ours: the words of the line up to the cursor, put together again.
__@FUNC@_words() {
    local rest=${COMP_LINE:0:COMP_POINT} word trimmed i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        [[ ${#word} -gt ${#trimmed} ]] && word=$trimmed
        if [[ $i -gt 0 && $trimmed == "$rest" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${trimmed#"$word"}
    done
}

__@FUNC@_complete() {
    local words out directive current cut lines value text width=0 i shown=()
    COMPREPLY=()
    __@FUNC@_words
    # What is typed may be quoted or refer to variables: the shell's own business.
    local asked=()
    for value in "${words[@]:1}"; do
        case $value in
            \"*\" | \'*\') value=${value:1:${#value}-2} ;;
            \"* | \'*) value=${value:1} ;;
        esac
        asked+=("${value//\\/}")
    done
    current=${asked[${#asked[@]} - 1]}
    out=$("${words[0]/#\~/$HOME}" @ASK@ "${asked[@]}" 2>/dev/null) || return
    directive=${out##*:}
    out=${out%:*}
    (((directive & 1) != 0)) && return
    if (((directive & 2) != 0)); then compopt -o nospace; fi
    if (((directive & 4) != 0)); then compopt +o default; fi
    if (((directive & 16) != 0)); then
        compopt -o filenames
        while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -d -- "${current#*=}")
        return
    fi
    # bash replaces what it takes for the current word: behind the last : or =.
    cut=${current%"${current##*[$COMP_WORDBREAKS]}"}
    [[ $current == *[:=]* ]] || cut=
    local before=
    [[ $current == -*=* ]] && before=${current%%=*}=
    while IFS=$'\t' read -r value text; do
        [[ -n $value ]] || continue
        value=$before$value
        [[ $value == "$current"* ]] || continue
        value=${value#"$cut"}
        COMPREPLY+=("$value")
        shown+=("$text")
        ((${#value} > width)) && width=${#value}
    done <<< "$out"
    # Descriptions are for reading only: where several candidates are listed, not where one is put in.
    if ((${#COMPREPLY[@]} > 1)) && [[ $COMP_TYPE == 63 || $COMP_TYPE == 64 || $COMP_TYPE == 33 || $COMP_TYPE == 9 ]]; then
        for i in "${!COMPREPLY[@]}"; do
            [[ -n ${shown[i]} ]] && printf -v "COMPREPLY[$i]" "%-${width}s  (%s)" "${COMPREPLY[i]}" "${shown[i]:0:60}"
        done
    fi
}

complete -o default -F __@FUNC@_complete @PROG@
"""

_ZSH = r"""#compdef @PROG@
compdef _@FUNC@ @PROG@

_@FUNC@() {
    local out directive line value text colon='\:'
    local -a asked described plain
    asked=("${(@Q)words[2,CURRENT]}")
    out=$(${(Q)words[1]} @ASK@ "${asked[@]}" 2>/dev/null) || return 1
    directive=${out##*:}
    out=${out%:*}
    (( directive & 1 )) && return 1
    if (( directive & 16 )); then
        _path_files -/
        return
    fi
    for line in "${(@f)out}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        text=${${line#$value}#$'\t'}
        [[ ${asked[-1]} == --*=* ]] && value="${asked[-1]%%=*}=$value"
        described+=("${value//:/$colon}${text:+:$text}")
    done
    local -a space
    (( directive & 2 )) && space=(-S '')
    if (( $#described )); then
        _describe -V '@PROG@' described "${space[@]}" -U -Q && return 0
    fi
    (( directive & 4 )) && return 1
    _files
}

# Loaded by the completion system the first call is the first question; sourced it is none.
if [[ ${funcstack[1]} == _@FUNC@ ]]; then
    _@FUNC@
fi
"""

_FISH = r"""# fish completion for @PROG@                                -*- shell-script -*-

function __@FUNC@_ask
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l out ($words[1] @ASK@ $words[2..-1] "$current" 2>/dev/null)
    or return 1
    set -l directive (string replace -r '^:' '' -- $out[-1])
    set -e out[-1]
    test (math "$directive % 2") -eq 0
    or return 1
    if string match -qr '^--[^=]+=' -- $current
        set -l option (string replace -r '=.*$' '=' -- $current)
        set out $option$out
    end
    if test (count $out) -gt 0
        printf '%s\n' $out
        return 0
    end
    if test (math "floor($directive / 16) % 2") -eq 1
        __fish_complete_directories $current
    else if test (math "floor($directive / 4) % 2") -eq 0
        __fish_complete_path $current
    end
end

complete -c @PROG@ -e
complete -c @PROG@ -f -a '(__@FUNC@_ask)'
"""

_TEXTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def script(shell: str, prog: str, *, described: bool) -> str:
    """described: candidates come with their descriptions."""
    ask = "__complete" if described else "__completeNoDesc"
    return _TEXTS[shell].replace("@PROG@", prog).replace("@FUNC@", prog.replace("-", "_")).replace("@ASK@", ask)
