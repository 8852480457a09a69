"""`cli.py serve` under load: times to the first and next answers, 200 requests of 8 clients, memory after 20 and 200.

    python benchmarks/serve.py --ckpt_path runs/... --clip clip.mp4

Linux alone: memory is read from /proc.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]


def resident(pid):
    """Return the resident memory of a process in MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000


def ask(url, clip):
    """Return status and seconds of one answer, asked again while the server is busy."""
    began, busy = time.perf_counter(), 0
    while True:
        found = httpx.post(f"{url}/answer", files={"file": (clip.name, clip.read_bytes())}, timeout=300)
        if found.status_code != 503:
            return found.status_code, time.perf_counter() - began, busy
        busy += 1
        time.sleep(0.2)


def main():
    """Start a server, ask it, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ckpt_path", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--waiting", type=int, default=16)
    args = parser.parse_args()
    command = [sys.executable, "cli.py", "serve", "--ckpt_path", str(args.ckpt_path), "--port", "0"]
    began = time.perf_counter()
    server = subprocess.Popen([*command, "--waiting", str(args.waiting)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+:\d+", server.stdout.readline())[0]
        print(f"ready after {time.perf_counter() - began:.1f} s, {resident(server.pid):.0f} MB")
        print(f"first answer {ask(url, args.clip)[1]:.2f} s")
        seconds = [ask(url, args.clip)[1] for _ in range(19)]
        print(f"next answers {statistics.median(seconds):.2f} s (median of 19)")
        after_20, began = resident(server.pid), time.perf_counter()
        with ThreadPoolExecutor(args.clients) as clients:
            found = list(clients.map(lambda _: ask(url, args.clip), range(args.requests - 20)))
        spent, after = time.perf_counter() - began, resident(server.pid)
        statuses, times = Counter(one[0] for one in found), sorted(one[1] for one in found)
        print(f"{len(found)} requests of {args.clients} clients: {dict(statuses)}, {len(found) / spent:.1f} a second, "
              f"median {statistics.median(times):.2f} s, longest {times[-1]:.2f} s, "
              f"told that it is busy {sum(one[2] for one in found)} times")  # fmt: skip
        print(f"memory {after_20:.0f} MB after 20, {after:.0f} MB after {args.requests}: {after / after_20 - 1:+.1%}")
        crowd = 4 * (args.waiting + 1)
        with ThreadPoolExecutor(crowd) as clients:
            files = {"file": (args.clip.name, args.clip.read_bytes())}

            def post(_):
                return httpx.post(f"{url}/answer", files=files, timeout=300).status_code

            print(f"{crowd} at once, {args.waiting + 1} may be in: {dict(Counter(clients.map(post, range(crowd))))}")
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
