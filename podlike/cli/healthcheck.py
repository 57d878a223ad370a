"""podlike healthcheck run: run a container's health check now."""

from podlike.cli.command import Call, Command, Flag, exactly


def run(call: Call) -> int:
    from podlike.cli.options import container_name
    from podlike.engine.query import find
    from podlike.engine.tending import run_check

    result = run_check(call.engine, find(call.engine, container_name(call.args[0])))
    if result == "healthy":
        return 0
    call.out(result)
    return 0 if call.opts.ignore_result else 1


command = Command(
    "run", run, usage="CONTAINER", args=exactly(1), summary="Run the health check of a container",
    description="Run the health check of a container",
    flags=(Flag("ignore-result", "", "bool", "Exit with code 0 regardless of healthcheck result"),),
    examples=("healthcheck run mywebapp",))
