// SPDX-License-Identifier: Apache-2.0

import WSProtocol

extension ServerMessage.Refusal {
    /// What the relay says of it to a person, as it may be shown; nil when it says nothing.
    var shownMessage: String? {
        guard !message.isEmpty else { return nil }
        let shown = message.unicodeScalars.prefix(Defaults.relayMessage)
        return DisplayName.line(String(String.UnicodeScalarView(shown)))
    }
}
