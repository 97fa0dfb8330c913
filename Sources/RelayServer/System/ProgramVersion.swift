// SPDX-License-Identifier: Apache-2.0

/// Which program this is.
enum ProgramVersion {
    static let current = "0.1.0"
}
