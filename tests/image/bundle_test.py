# SPDX-License-Identifier: Apache-2.0
"""The key that signs bundles is secret, and making it changes nothing about what is made after it."""
import os
import tempfile
import unittest
from pathlib import Path

from image import bundle


class Keys(unittest.TestCase):
    def test_only_the_key_is_for_its_owner_alone(self):
        os.umask(0o022)
        with tempfile.TemporaryDirectory() as folder:
            bundle.make_keys(Path(folder))
            self.assertEqual((Path(folder) / bundle.KEY).stat().st_mode & 0o777, 0o600)
            (Path(folder) / "usr").mkdir()
            self.assertEqual((Path(folder) / "usr").stat().st_mode & 0o777, 0o755, "an agent that may not enter it finds no model")


if __name__ == "__main__":
    unittest.main()
