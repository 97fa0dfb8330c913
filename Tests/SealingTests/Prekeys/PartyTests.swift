// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import Sealing

@Suite struct PartyTests {
    @Test func saysBothFingerprintsWhenTheIdentityChanged() throws {
        let (pinned, other) = (try Person("bob", 2).party, try Person("bob", 3).party)
        let (old, new) = (Fingerprint(of: pinned.identity), Fingerprint(of: other.identity))
        let error = SealingError.identityChanged(pinned: old, shown: new)
        #expect(error.code == .identityChanged)
        for fingerprint in [old, new] {
            #expect(error.description.contains(fingerprint.description))
        }
    }
}
