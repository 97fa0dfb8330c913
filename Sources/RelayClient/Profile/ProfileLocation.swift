// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// Where a profile is when nobody says otherwise.
enum ProfileLocation {
    /// `$XDG_CONFIG_HOME/relay`, or `~/.config/relay` (XDG Base Directory Specification, which has relative values
    /// ignored). Throws ``ProfileError`` when there is not even a home.
    static func directory(environment: [String: String]) throws -> String {
        if let config = environment["XDG_CONFIG_HOME"], config.hasPrefix("/") { return config + "/relay" }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw ProfileError(
                code: .missing, message: "HOME is not set: name the profile's folder with --profile or RELAY_PROFILE"
            )
        }
        return home + "/.config/relay"
    }
}
