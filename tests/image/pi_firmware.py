# SPDX-License-Identifier: Apache-2.0
"""Plays what a Raspberry Pi 5's boot ROM does with the first partition (facts: its documentation of autoboot.txt, tryboot, PARTITION_WALK)."""
SECTOR = 512


def parse_autoboot(text):
    """{section: {key: value}}; what is outside its bounds or unreadable counts as nothing."""
    sections, current = {}, "all"
    if len(text) > SECTOR:
        return sections
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1]
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            sections.setdefault(current, {})[key.strip()] = value.strip()
    return sections


class Firmware:
    """`bootable`: numbers of the partitions that have a config.txt and a kernel that loads."""

    def __init__(self, read_autoboot, bootable=(2, 3)):
        self.read_autoboot, self.bootable = read_autoboot, set(bootable)
        self.tryboot_flag = False

    def power_cut(self):
        self.tryboot_flag = False

    def start(self):
        """The partition that is started and whether as a trial; None where nothing can be. The flag is used up by this."""
        wanted_trial, self.tryboot_flag = self.tryboot_flag, False
        sections = parse_autoboot(self.read_autoboot() or "")
        values = dict(sections.get("all", {}))
        trial = wanted_trial and values.get("tryboot_a_b") == "1"
        if trial:
            values |= sections.get("tryboot", {})
        number = values.get("boot_partition", "")
        first = int(number) if number.isdigit() and 1 <= int(number) <= 63 else 1
        # PARTITION_WALK: from the wanted one on, then from the beginning.
        for partition in [*range(first, 8), *range(1, first)]:
            if partition in self.bootable:
                return partition, trial
        return None
