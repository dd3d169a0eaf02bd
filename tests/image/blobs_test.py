#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first loader that only a board's user has: what is taken, and the one line that each mistake gives."""
import hashlib
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from image import blobs, definition  # noqa: E402
from image.definition import ImageError  # noqa: E402

NAME = "u-boot-rockchip.bin"


class FirstLoader(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.board = definition.load("rock5-itx")
        self.content = bytearray(0x7f8000 + 4096)
        self.content[:4] = b"RKNS"
        self.content[0x7f8000:0x7f8004] = bytes.fromhex("d00dfeed")

    def put(self, content):
        (self.folder / NAME).write_bytes(content)

    def refused(self, *texts):
        with self.assertRaises(ImageError) as caught:
            blobs.find(self.board, self.folder)
        said = str(caught.exception)
        self.assertNotIn("\n", said)
        for text in (NAME, "rock5-itx/blobs/README.md", *texts):
            self.assertIn(text, said)

    def test_a_whole_one_is_taken(self):
        self.put(self.content)
        self.assertEqual(blobs.find(self.board, self.folder), self.folder / NAME)

    def test_boards_without_need_none(self):
        self.assertIsNone(blobs.find(definition.load("arm64-generic"), None))
        with self.assertRaisesRegex(ImageError, "arm64-generic needs no first loader"):
            blobs.find(definition.load("arm64-generic"), self.folder)

    def test_missing(self):
        self.refused("is missing")

    def test_empty(self):
        self.put(b"")
        self.refused("is empty")

    def test_another_file(self):
        self.put(b"BOOT" + self.content[4:])
        self.refused("524b4e53 at byte 0")

    def test_cut_off_before_u_boot(self):
        self.put(self.content[:0x200000])
        self.refused("d00dfeed at byte 8355840")

    def test_larger_than_the_gap(self):
        self.put(self.content + bytes(9 << 20))
        self.refused("fit before the first partition")

    def test_sums_are_believed(self):
        self.put(self.content)
        sums = self.folder / "SHA256SUMS"
        sums.write_text(f"{hashlib.sha256(self.content).hexdigest()}  {NAME}\n")
        blobs.find(self.board, self.folder)
        self.content[100] = 1
        self.put(self.content)
        self.refused("does not match", "SHA256SUMS")
        sums.write_text("no sum of it\n")
        self.refused("does not match")


if __name__ == "__main__":
    unittest.main()
