# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are, and how helpers are compiled and run."""

import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(HERE), "build")
WORKER = f"{BUILD}/bench/worker"
PAGES = f"{BUILD}/bench/pages"
CTL = f"{BUILD}/memcgfsctl"
HELPER_SECONDS = 120        # longer than any takes: then it hangs


def compile_helpers():
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    for source, program in ((f"{HERE}/worker.c", WORKER),
                            (f"{HERE}/../demo/pages.c", PAGES)):
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2",
                        "-pthread", "-o", f"{program}.new", source], check=True)
        os.replace(f"{program}.new", program)   # another run may be using it


def run(*argv, seconds=HELPER_SECONDS):
    """The output of a command; a RuntimeError with its last words. Whatever
    it has started ends with it, also where we are interrupted."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True,
                          start_new_session=True) as process:
        try:
            out, words = process.communicate(timeout=seconds)
        except BaseException as error:
            _kill_group(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"no end after {seconds} s") from None
            raise
    if process.returncode:
        raise RuntimeError((words.strip() or f"{argv[0]} failed")
                           .split("\n")[-1])
    return out


def _kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


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
