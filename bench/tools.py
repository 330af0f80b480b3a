# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are, and how helpers are compiled and run."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(HERE), "build")
WORKER = f"{BUILD}/bench/worker"
PAGES = f"{BUILD}/bench/pages"
HELPER_SECONDS = 180        # longer than any takes: then it hangs


def compile_helpers():
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    for source, program in ((f"{HERE}/worker.c", WORKER),
                            (f"{HERE}/../demo/pages.c", PAGES)):
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-o",
                        program, source], check=True)


def run(*argv):
    """The output of a command; a RuntimeError with its last words."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True,
                              timeout=HELPER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no end after {HELPER_SECONDS} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"{argv[0]} failed")
                           .split("\n")[-1])
    return done.stdout


def first_line(*argv):
    """Of a command's output, None where it cannot be had."""
    try:
        return run(*argv).strip().split("\n")[0]
    except (RuntimeError, OSError):
        return None


def progress(text):
    """One line that is written over, for who watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
