# SPDX-License-Identifier: Apache-2.0
"""What R kept as JSON is a dict here."""


def tell(self):
    least, _, median, _, most = self.sizes["quarters_kib"]
    print(
        f"Half of the {self.sizes['packages']} packages take less than {median:.0f} KiB, "
        f"the largest {most / 1024:.0f} MiB; most of it all is '"
        f"{self.sizes['largest_section']}'."
    )
