#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A network with weather: carries packets between namespaces, late, twice or never.

    net_weather.py --delay-ms 50 --jitter-ms 10 --loss 2 --twice 1 --seed 7
                   NAMESPACE ADDRESS/LENGTH [NAMESPACE ADDRESS/LENGTH ...]

Makes a TUN device for each namespace, moves it there as eth0 and gives it the address;
what is sent there comes to this program, which passes it to whoever has the address it
is for. The jitter makes packets overtake each other. Says `ready` when all is up, and at
SIGTERM what it did. The devices go when it ends. Needs root, iproute2 and /dev/net/tun.
"""

import argparse
import fcntl
import heapq
import os
import random
import selectors
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
QUEUE_MAX = 20_000  # packets; more are lost, as in any queue


def make(name: str, namespace: str, address: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    inside = ["ip", "-n", namespace]
    for command in (
        ["ip", "link", "set", name, "netns", namespace, "name", "eth0"],
        [*inside, "address", "add", address, "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "link", "set", "lo", "up"],
    ):
        subprocess.run(command, check=True)
    return device


def packed(address: str) -> bytes:
    return bytes(int(part) for part in address.split("/", maxsplit=1)[0].split("."))


class Weather:
    def __init__(self, options: argparse.Namespace, devices: dict[bytes, int]):
        self.options = options
        self.devices = devices
        self.chance = random.Random(options.seed)
        self.queue: list[tuple[float, int, bytes]] = []
        self.order = 0
        self.counts = dict.fromkeys(("carried", "lost", "twice", "overtaken"), 0)
        self.newest = 0

    def take(self, packet: bytes) -> None:
        """An IPv4 packet for one of ours; whatever else there is is dropped."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[16:20] not in self.devices:
            return
        copies = 2 if self.chance.uniform(0, 100) < self.options.twice else 1
        if self.chance.uniform(0, 100) < self.options.loss or len(self.queue) > QUEUE_MAX:
            self.counts["lost"] += 1
            return
        self.counts["twice"] += copies - 1
        for _ in range(copies):
            late = self.options.delay_ms + self.chance.uniform(0, self.options.jitter_ms)
            self.order += 1
            heapq.heappush(self.queue, (time.monotonic() + late / 1000, self.order, packet))

    def pass_on(self) -> None:
        while self.queue and self.queue[0][0] <= time.monotonic():
            _, order, packet = heapq.heappop(self.queue)
            self.counts["overtaken"] += order < self.newest
            self.newest = max(order, self.newest)
            try:
                os.write(self.devices[packet[16:20]], packet)
                self.counts["carried"] += 1
            except OSError:  # its queue is full, or it is down
                self.counts["lost"] += 1

    def wait(self) -> float | None:
        return max(0.0, self.queue[0][0] - time.monotonic()) if self.queue else None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--jitter-ms", type=float, default=0)
    parser.add_argument("--loss", type=float, default=0, help="of 100")
    parser.add_argument("--twice", type=float, default=0, help="of 100")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("ends", nargs="+")
    options = parser.parse_args()
    devices = {}
    for i in range(0, len(options.ends), 2):
        namespace, address = options.ends[i : i + 2]
        devices[packed(address)] = make(f"mw{os.getpid()}-{i // 2}"[:15], namespace, address)
    weather = Weather(options, devices)
    selector = selectors.DefaultSelector()
    for device in devices.values():
        selector.register(device, selectors.EVENT_READ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    try:
        while True:
            for key, _ in selector.select(weather.wait()):
                try:
                    weather.take(os.read(key.fd, 65536))
                except OSError:
                    continue
            weather.pass_on()
    finally:
        print(*(f"{name} {n}" for name, n in weather.counts.items()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
