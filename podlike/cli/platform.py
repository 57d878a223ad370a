"""docker's --platform on commands that look at one image: the store keeps one platform under a name."""

from podlike.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.cli.command import Call
    from podlike.store.images import Image


def require_platform(call: "Call", name: str, platform: str) -> "Image":
    """The image of a name, which must be of that platform; of a manifest list the one that is.

    Raises: NotFoundError when another one is here.
    """
    from podlike.engine.images import choose_instance, find, resolve
    from podlike.spec.image import Platform, parse_platform, platform_rank

    wanted = parse_platform(platform)
    try:
        image = find(call.engine, name)[0]
    except NotFoundError:
        image = resolve(call.engine, name)
    if image.index is not None:
        return choose_instance(call.engine, image, wanted)
    config = image.config
    have = Platform(config.get("os") or "linux", config.get("architecture") or "", config.get("variant") or "")
    if platform_rank(wanted, have) is None:
        raise NotFoundError(f"image with reference {name} was found but does not provide the specified platform ({wanted})",
                            hint=f"The one that is here is for {have}; get the other with `pull --platform {wanted}`.")
    return image
