// SPDX-License-Identifier: Apache-2.0

/// Whose signature on a server's certificate is good enough.
package enum TLSTrust: Hashable, Sendable {
    /// The authorities the operating system trusts.
    case system
    /// Only the authorities in the PEM file at this path.
    case file(String)
}
