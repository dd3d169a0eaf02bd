# SPDX-License-Identifier: Apache-2.0
"""The first loader of a board, which only its user may have: found and checked before anything else is made."""
from image.definition import FOLDER, ImageError
from image.slots import MEBIBYTE
from image.tree import sha256_of

SECTOR = 512


def find(board, folder):
    """The file that the board's definition names, in `folder` or in boards/BOARD/blobs; None for a board that needs none."""
    if not board.blob:
        if folder:
            raise ImageError(f"--blobs: board {board.board} needs no first loader; build it without")
        return None
    folder = folder or FOLDER / "boards" / board.board / "blobs"
    path, advice = folder / board.blob["file"], f"see image/boards/{board.board}/blobs/README.md"
    if not path.is_file():
        raise ImageError(f"{path} is missing: {board.board} needs this first loader from you; {advice}")
    room = board.first_mib * MEBIBYTE - board.blob["sector"] * SECTOR
    size = path.stat().st_size
    if size == 0:
        raise ImageError(f"{path} is empty; {advice}")
    if size > room:
        raise ImageError(f"{path} has {size} bytes, {room} fit before the first partition; {advice}")
    with path.open("rb") as file:
        for offset, magic in board.blob["magic"].items():
            file.seek(offset)
            if file.read(len(magic) // 2) != bytes.fromhex(magic):
                raise ImageError(f"{path} has no {magic} at byte {offset}: it is not the file that is meant, or not whole; {advice}")
    sums = folder / "SHA256SUMS"
    if sums.is_file():
        known = dict(line.split()[1::-1] for line in sums.read_text().splitlines() if len(line.split()) == 2)
        if known.get(path.name) != sha256_of(path):
            raise ImageError(f"{path} does not match {sums}: fetch or build it again, or write its new sum there; {advice}")
    return path
