# SPDX-License-Identifier: GPL-2.0-or-later
"""The same calls in two directories at the same time, and where they part.

A plan is a list of steps: who makes which call with what. It is made before
anything is called, and knows nothing of how the calls go: so it can be made
again from its seed, and shortened by leaving out any of its steps. Each one
who acts is a process of its own on each side; they make their steps one after
the other. The result of each, or its errno, must be the same on both sides.
"""

import errno
import os
import pickle
import random
import select
import struct
import time
from dataclasses import dataclass

from . import act, settings

SPAN, LENGTH = struct.Struct("=II"), struct.Struct("=I")


@dataclass(frozen=True)
class Step:
    who: str
    call: str
    args: tuple

    def __str__(self):
        return f"{self.who}: {self.call}{self.args!r}"


@dataclass(frozen=True)
class Difference:
    """What the last step of a plan did, natively and in the mount."""

    steps: list
    native: object
    seen: object

    def __str__(self):
        plan = "\n".join(f"    {step}" for step in self.steps)
        return (f"the last of {len(self.steps)} steps differs:\n{plan}\n"
                f"    native: {self.native!r}\n    mount:  {self.seen!r}")


class Descriptors:
    """What a player of plans has open, by the numbers of slots."""

    def __init__(self):
        self.fds = {}

    def fd(self, slot):
        if slot not in self.fds:
            raise OSError(errno.EBADF, "no such slot")
        return self.fds[slot]

    def keep(self, slot, fd):
        if slot in self.fds:
            os.close(self.fds.pop(slot))
        self.fds[slot] = fd

    def dup(self, slot, other):
        self.keep(other, os.dup(self.fd(slot)))


class Planner:
    """Writes plans for a cast, each by its seed. stage(): the steps that all
    begin with; steps(): (call, what makes its arguments), the more frequent
    more often."""

    cast, slots = {}, 0

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *things):
        return self.random.choice(things)

    def slot(self):
        return self.random.randrange(self.slots)

    def plan(self, length):
        """The first of the cast begins; most go on for some steps."""
        kinds, plan = self.steps(), list(self.stage())
        who = next(iter(self.cast))
        for _ in range(length):
            if self.random.random() < 0.15:
                who = self.pick(*self.cast)
            call, arguments = self.random.choice(kinds)
            plan.append(Step(who, call, arguments()))
        return plan


class Hand:
    """A process that makes those steps of a plan that it is told of."""

    def __init__(self, player, directory, steps, user, cgroup):
        hear, self.ask = os.pipe()
        self.answer, tell = os.pipe()
        self.child = act.Child(self._serve, player, directory, steps, hear,
                               tell, user=user, cgroup=cgroup)
        os.close(hear)
        os.close(tell)

    @staticmethod
    def _serve(player, directory, steps, hear, tell):
        os.chdir(directory)
        player = player()
        while True:
            first, end = SPAN.unpack(os.read(hear, SPAN.size))
            if first == end:
                return
            data = pickle.dumps([outcome(player, step)
                                 for step in steps[first:end]])
            os.write(tell, LENGTH.pack(len(data)) + data)

    def begin(self, first, end):
        os.write(self.ask, SPAN.pack(first, end))

    def outcomes(self):
        """What came of the steps, also if they take too long, or are deadly."""
        if not select.select([self.answer], [], [], settings.seconds(20))[0]:
            return ["takes too long"]
        head = os.read(self.answer, LENGTH.size)
        if not head:
            return ["dies"]
        left, data = LENGTH.unpack(head)[0], b""
        while len(data) < left:
            data += os.read(self.answer, left - len(data))
        return pickle.loads(data)

    def stop(self):
        try:
            self.begin(0, 0)
            self.child.result(5)
        except (BrokenPipeError, act.ChildFailed):
            pass
        os.close(self.ask)
        os.close(self.answer)


def outcome(player, step):
    try:
        return getattr(player, step.call)(*step.args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def spans(steps):
    """(first, end) of steps one after the other that are one actor's."""
    first = 0
    for end in range(1, len(steps) + 1):
        if end == len(steps) or steps[end].who != steps[first].who:
            yield first, end
            first = end


class Side:
    """A directory, and those who act in it."""

    def __init__(self, directory, cast, player, steps):
        self.directory, self.cast = directory, cast
        self.player, self.steps = player, steps
        self.hands = {}

    def hand(self, who):
        if who not in self.hands:
            user, cgroup = self.cast[who]
            self.hands[who] = Hand(self.player, self.directory, self.steps,
                                   user, cgroup)
        return self.hands[who]

    def stop(self):
        for hand in self.hands.values():
            hand.stop()


class Pair:
    """Makes fresh directories on both sides, and plays plans there.

    cast: who -> (user, cgroup); directories(): a new one on each side;
    look(native, seen): how the trees differ that are left, or None."""

    def __init__(self, player, cast, directories, look):
        self.player, self.cast = player, cast
        self.directories, self.look = directories, look

    def play(self, steps):
        """The first difference, or None."""
        places = self.directories()
        sides = [Side(place, self.cast, self.player, steps)
                 for place in places]
        try:
            found = self._play_steps(steps, *sides)
        finally:
            for side in sides:
                side.stop()
        if not found and (left := self.look(*places)):
            found = Difference(steps, "what is left", left)
        return found

    @staticmethod
    def _play_steps(steps, native, seen):
        for first, end in spans(steps):
            hands = [side.hand(steps[first].who) for side in (native, seen)]
            for hand in hands:
                hand.begin(first, end)
            outcomes = [hand.outcomes() for hand in hands]
            for number, (one, two) in enumerate(zip(*outcomes), first + 1):
                if one != two:
                    return Difference(steps[:number], one, two)
        return None

    def shorten(self, found, limit=60):
        """The same difference, or another, after fewer steps: pieces are left
        out that aren't needed for it, large ones first."""
        end = time.monotonic() + limit
        piece = len(found.steps) // 2
        while piece:
            at = 0
            while at < len(found.steps) and time.monotonic() < end:
                less = self.play(found.steps[:at] + found.steps[at + piece:])
                if less:
                    found = less
                else:
                    at += piece
            piece //= 2
        return found
