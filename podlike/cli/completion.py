"""podlike completion: the script with which a shell asks what could come next."""

from podlike.cli.command import Call, Command, Flag, exactly
from podlike.errors import UsageError

_SHELLS = ("bash", "zsh", "fish")


def completion(call: Call) -> None:
    from podlike.cli.completionscripts import script

    shell = call.args[0]
    if shell == "powershell":
        raise UsageError("make completion for powershell: there is no script for it", hint=f"Use {', '.join(_SHELLS)}.")
    if shell not in _SHELLS:
        raise UsageError(f'invalid argument "{shell}" for "{call.path}"', hint=f"Shells are {', '.join(_SHELLS)}.")
    text = script(shell, call.session.prog, described=not call.opts.no_desc)
    if not call.opts.file:
        call.out(text, end="")
        return
    from podlike.files import write_text

    try:
        write_text(call.opts.file, text)
    except OSError as e:
        raise UsageError(f"write {call.opts.file}: {(e.strerror or str(e)).lower()}") from None


command = Command(
    "completion", completion, usage="SHELL", args=exactly(1), summary="Generate shell completion scripts",
    description="Generate shell completion scripts. Valid arguments are bash, zsh and fish.\n\n"
                "bash:  source <(podlike completion bash), or into ~/.local/share/bash-completion/completions/podlike\n"
                "zsh:   podlike completion -f \"${fpath[1]}/_podlike\" zsh\n"
                "fish:  podlike completion -f ~/.config/fish/completions/podlike.fish fish",
    flags=(Flag("file", "f", "string", "Output the completion to file rather than stdout"),
           Flag("no-desc", "", "bool", "Don't include descriptions in the completion output")),
    examples=("completion bash", "completion zsh -f _podlike", "completion fish --no-desc"))
