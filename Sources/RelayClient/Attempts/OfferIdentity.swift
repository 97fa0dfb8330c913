// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// The 16 random bytes by which a receiver knows that an offer is an earlier one made again.
enum OfferIdentityKind: FixedBytesKind { static var length: Int { 16 } }

typealias OfferIdentity = FixedBytes<OfferIdentityKind>
