"""Pictures, without a library for them: large ones come as PPM, small ones are written as PNG."""

from __future__ import annotations

import struct
import zlib

WIDTH, HEIGHT, TIMES = 64, 48, 4


def painted(number: int) -> bytes:
    """A picture that is made up, the same for the same number."""
    pixels = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            pixels += bytes(((x * 4 + number) % 256, (y * 5 + number * 3) % 256, (x * y + number * 7) % 256))
    return b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT) + pixels


def shrunk(ppm: bytes) -> bytes:
    """The picture with a fourth of its width and height, as PNG.

    Raises:
        ValueError: it is no picture, or not all of it.
    """
    kind, size, _, pixels = ppm.split(b"\n", 3)
    width, height = map(int, size.split())
    if kind != b"P6" or len(pixels) != width * height * 3:
        raise ValueError(f"{width * height * 3 - len(pixels):,} bytes of the picture are missing")
    rows = b"".join(b"\0" + _row(pixels, width, y) for y in range(height // TIMES))
    head = struct.pack(">IIBBBBB", width // TIMES, height // TIMES, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _row(pixels: bytes, width: int, y: int) -> bytes:
    return bytes(
        sum(
            pixels[((y * TIMES + dy) * width + x * TIMES + dx) * 3 + colour]
            for dy in range(TIMES)
            for dx in range(TIMES)
        )
        // (TIMES * TIMES)
        for x in range(width // TIMES)
        for colour in range(3)
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
