// SPDX-License-Identifier: Apache-2.0

/// What a person has said, once and for all, about what one sender offers.
package struct SenderPolicy: Hashable, Sendable {
    /// What becomes of an offer that no limit refuses.
    package enum Answer: String, Codable, Hashable, Sendable, CaseIterable {
        case ask
        case accept
        case refuse
    }

    package var answer: Answer
    /// Where it goes: an absolute path; nil leaves that to the command line.
    package var folder: String?
    /// The largest content in bytes; nil without a limit.
    package var maximumSize: UInt64?
    /// The most bytes of content on one day; nil without a limit.
    package var maximumDay: UInt64?
    /// What is run for each file and folder.
    package var command: FileCommand?

    package init(
        _ answer: Answer, folder: String? = nil, maximumSize: UInt64? = nil, maximumDay: UInt64? = nil,
        command: FileCommand? = nil
    ) {
        self.answer = answer
        self.folder = folder
        self.maximumSize = maximumSize
        self.maximumDay = maximumDay
        self.command = command
    }
}
