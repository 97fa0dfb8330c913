// SPDX-License-Identifier: Apache-2.0

/// Which program this is.
package enum ProgramVersion {
    package static let current = "0.1.0"
}
