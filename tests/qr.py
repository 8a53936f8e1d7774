"""Decodes the QR code in an SVG image as a scanner would: drawn as pixels, then decoded."""

import re
from xml.etree import ElementTree as ET

import zxingcpp

_SVG = "{http://www.w3.org/2000/svg}"
_STEP = re.compile(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?")
_PIXELS = 4
"""A module's side."""


def scan(svg: str) -> list[str]:
    """Returns the texts of the QR codes in an image."""
    image = ET.fromstring(svg)  # noqa: S314 - our own
    side = int(image.attrib["viewBox"].split()[2])
    (lines,) = (path for path in image.iter(f"{_SVG}path") if path.get("stroke") == "#000")
    modules = [bytearray(b"\xff" * side) for _ in range(side)]
    x, y = 0, 0.0
    for what, first, second in _STEP.findall(lines.attrib["d"]):
        if what == "h":
            modules[int(y)][x : x + int(first)] = bytes(int(first))
            x += int(first)
        else:
            x, y = (0, 0.0) if what == "M" else (x, y)
            x, y = x + int(first), y + float(second)
    rows = (bytes(shade for shade in row for _ in range(_PIXELS)) for row in modules)
    pixels = b"".join(row * _PIXELS for row in rows)
    side *= _PIXELS
    # Other formats would give false matches in a part of the picture.
    kind = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    found = zxingcpp.read_barcodes(memoryview(pixels).cast("B", (side, side)), formats=kind)
    return [code.text for code in found]
