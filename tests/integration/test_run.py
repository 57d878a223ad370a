from tests.support.engine import Engine


def test_true(podlike: Engine, image: str) -> None:
    assert podlike("run", "--rm", image, "echo", "hi").line == "hi"


def test_leak(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, image, "sleep", "100")
