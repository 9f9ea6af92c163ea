# Completion for bash: to /usr/share/bash-completion/completions/dockerdiag. The program itself knows what it takes.
_dockerdiag() {
    local IFS=$'\n'
    COMPREPLY=($(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _DOCKERDIAG_COMPLETE=complete_bash "$1" 2>/dev/null))
}
complete -o default -F _dockerdiag dockerdiag
