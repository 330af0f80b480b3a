# SPDX-License-Identifier: GPL-2.0-or-later
"""What the integration tests share: cgroups, mounts, actors, the judge."""
