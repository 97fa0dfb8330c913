# SPDX-License-Identifier: Apache-2.0
"""What the process-level tests share: processes, certificates, relays, people, raw connections, the wire protocol."""
