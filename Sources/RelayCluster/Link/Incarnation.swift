// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// One start of a node: 16 random bytes made when its process begins. Whatever names an earlier one is over.
package typealias Incarnation = FixedBytes<IncarnationKind>

/// An incarnation's length.
package enum IncarnationKind: FixedBytesKind { package static var length: Int { 16 } }
