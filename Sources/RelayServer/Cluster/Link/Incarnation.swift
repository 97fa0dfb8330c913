// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// One start of a node: 16 random bytes made when its process begins. Whatever names an earlier one is over.
typealias Incarnation = FixedBytes<IncarnationKind>

/// An incarnation's length.
enum IncarnationKind: FixedBytesKind { static var length: Int { 16 } }
