# SPDX-License-Identifier: Apache-2.0
"""What the programs of Benchmarks are made of."""
