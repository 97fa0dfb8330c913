# SPDX-License-Identifier: Apache-2.0
"""A cluster on one machine: Redis, nodes, a balancer, and a command that uses them."""
