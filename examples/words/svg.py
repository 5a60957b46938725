# SPDX-License-Identifier: Apache-2.0
"""The same chart as a picture."""

import sys


def main() -> None:
    rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
    most = max(int(count) for _, count in rows)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{20 * len(rows)}">')
    print('<g font-family="sans-serif" font-size="13">')
    for i, (word, count) in enumerate(rows):
        width = 440 * int(count) / most
        print(f'<text x="110" y="{20 * i + 14}" text-anchor="end">{word}</text>')
        print(f'<rect x="120" y="{20 * i + 3}" width="{width:.1f}" height="14" fill="#47a"/>')
        print(f'<text x="{width + 126:.1f}" y="{20 * i + 14}">{count}</text>')
    print("</g></svg>")


if __name__ == "__main__":
    main()
