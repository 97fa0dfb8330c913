# SPDX-License-Identifier: Apache-2.0
"""What transfers promise, as measurements: each is a command of scripts/prove, and a smaller test."""
