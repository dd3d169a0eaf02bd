# SPDX-License-Identifier: Apache-2.0
"""Makes the firmware image of a board; ./dev image calls it inside the image root (see ./dev help)."""
import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from image import blobs, bundle, definition, disk, loaders, portable, sbom, slots, tree, vendor, verify
from image.definition import ImageError
from image.tree import run

LIMIT_BYTES = 150_000_000


def load(arguments):
    """The board's definition, and what its user gave for it: vendor packages, the first loader."""
    board = definition.load(arguments.board, with_vendor=arguments.vendor_debs is not None)
    if isinstance(board, portable.Portable):
        if arguments.vendor_debs or arguments.blobs:
            raise ImageError(f"{board.board} takes neither --vendor-debs nor --blobs: its system is the maker's own")
        return board, [], None
    return board, vendor.select(board, arguments.vendor_debs) if board.with_vendor else [], blobs.find(board, arguments.blobs)


def build(arguments):
    started = time.monotonic()
    board, vendor_packages, blob = load(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for old in arguments.out.iterdir():
        tree.remove(old)
    arguments.work.mkdir(parents=True)
    if isinstance(board, portable.Portable):
        return {**portable.build(board, arguments), "seconds": round(time.monotonic() - started, 1)}
    bundle.make_keys(arguments.keys)
    root = arguments.work / "root"
    root.mkdir()
    packages = tree.make(board, arguments.pool, vendor_packages, arguments.binaries, arguments.keys / bundle.CERTIFICATE, arguments.version, root)
    loader = arguments.work / "loader"
    loader.mkdir()
    for package in loaders.of(board).packages(board):
        for deb in arguments.pool.glob(f"{package}_*.deb"):
            run("dpkg-deb", "--extract", deb, loader)
    verity = slots.make(board, root, arguments.version, arguments.epoch, arguments.work)
    name = f"wayside-{board.board}-{arguments.version}"
    image = arguments.out / f"{name}.img"
    disk.make(board, loader, blob, arguments.work, image)
    verify.check(board, image, blob)
    run("bmaptool", "--quiet", "create", "-o", arguments.out / f"{name}.bmap", image)
    uncompressed = tree.sha256_of(image)
    run("zstd", "-q", "-f", "-9", "-T2", image, "-o", arguments.out / f"{name}.img.zst")
    image.unlink()
    manifest = sbom.write(board, arguments.version, arguments.epoch, packages, blob, root, verity, arguments.out, name)
    bundle.make(board, arguments.version, arguments.keys, arguments.work, arguments.out / f"{name}.raucb")
    size = manifest["files"][f"{name}.img.zst"]["bytes"]
    if size > LIMIT_BYTES:
        raise ImageError(f"{name}.img.zst has {size} bytes, the limit is {LIMIT_BYTES}: see bytes_in_image in the manifest")
    return {"board": board.board, "version": arguments.version, "image": f"{name}.img.zst", "image_bytes": size, "image_sha256":
            manifest["files"][f"{name}.img.zst"]["sha256"], "disk_sha256": uncompressed, "bundle": f"{name}.raucb", "bundle_bytes":
            (arguments.out / f"{name}.raucb").stat().st_size, "packages": len(packages), "seconds": round(time.monotonic() - started, 1)}


def main():
    parser = argparse.ArgumentParser(prog="image")
    parser.add_argument("board")
    parser.add_argument("--describe", action="store_true", help="print what ./dev must fetch and build, and end")
    parser.add_argument("--vendor-debs", type=Path, help="folder with the maker's kernel, firmware and modules")
    parser.add_argument("--blobs", type=Path, help="folder with the first loader that only the user may have")
    for name in ("--pool", "--binaries", "--out", "--work", "--keys"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--version")
    parser.add_argument("--epoch")
    parser.add_argument("--result", type=Path)
    arguments = parser.parse_args()
    if arguments.describe:
        board, _, _ = load(arguments)  # mistakes are told before anything is fetched or built
        print(board.architecture, board.preset, *board.sources, ",".join(board.fetched))
        return
    os.environ |= {"SOURCE_DATE_EPOCH": arguments.epoch, "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    os.umask(0o022)
    try:
        result = build(arguments)
    finally:
        if os.environ.get("WAYSIDE_KEEP_WORK") != "1":
            shutil.rmtree(arguments.work, ignore_errors=True)
    text = json.dumps(result, indent=1) + "\n"
    arguments.result.write_text(text)


if __name__ == "__main__":
    try:
        main()
    except ImageError as error:
        sys.exit(f"image: {error}")
