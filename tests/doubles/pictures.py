"""Pictures as people upload them: photos, charts, screenshots, animations."""

import random
from io import BytesIO

from PIL import Image, ImageCms, ImageDraw, ImageFilter


def photo(width: int = 640, height: int = 400, seed: int = 1) -> Image.Image:
    """Return what has soft shapes and noise everywhere, as cameras see them."""
    chance = random.Random(seed)
    image = Image.merge(
        "RGB",
        (
            Image.linear_gradient("L").resize((width, height)),
            Image.radial_gradient("L").resize((width, height)),
            Image.linear_gradient("L").rotate(90).resize((width, height)),
        ),
    )
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = chance.randrange(width), chance.randrange(height)
        size = chance.randrange(10, max(11, width // 4))
        colour = tuple(chance.randrange(256) for _ in range(3))
        draw.ellipse((x, y, x + size, y + size), fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(3))
    grain = Image.frombytes("L", (width, height), chance.randbytes(width * height))
    return Image.blend(image, Image.merge("RGB", (grain, grain, grain)), 0.04)


def chart(width: int = 640, height: int = 400, seed: int = 2) -> Image.Image:
    """Return bars and lines of few colours, with sharp edges."""
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height), "#ffffff")
    draw = ImageDraw.Draw(image)
    for y in range(40, height, 40):
        draw.line((0, y, width, y), fill="#dde3ea")
    for x in range(20, width - 20, 32):
        top = chance.randrange(40, height - 20)
        draw.rectangle((x, top, x + 20, height - 20), fill="#2563eb")
        draw.text((x, top - 14), str(height - top), fill="#111827")
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or photo(), "JPEG", **{"quality": 90, **options})


def png(image: Image.Image | None = None, **options: object) -> bytes:
    return encoded(image or chart(), "PNG", **options)


def animation(frames: int = 5, kind: str = "GIF", **options: object) -> bytes:
    """Return *frames* that differ, each 80 ms long, for ever unless *options* say otherwise."""
    pictures = [photo(160, 100, seed=each) for each in range(frames)]
    settings: dict[str, object] = {"duration": 80, "loop": 0, **options}
    if settings["loop"] is None:
        del settings["loop"]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], **settings)


def located() -> bytes:
    """Return a photo that says where it was taken, and is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[1] = "N"
    return jpeg(photo(640, 400), exif=exif.tobytes())


def profile() -> bytes:
    """Return an ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def decoded(body: bytes) -> Image.Image:
    """Return what a decoder makes of *body*."""
    image = Image.open(BytesIO(body))
    image.load()
    return image
