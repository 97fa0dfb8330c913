// SPDX-License-Identifier: Apache-2.0

/// What can go wrong with TLS, in words.
///
/// Two errors are equal when their codes are. `description` is one line for people: what happened and to what; `detail`
/// is OpenSSL's own account of it, for logs.
package struct TLSError: Error, Sendable {
    /// What happened.
    package let code: Code
    /// What it happened to: a file's path, or the host name that was wanted.
    package let subject: String?
    /// What OpenSSL or the system said, if anything.
    package let detail: String?
    /// The source file in which the error was made.
    package let file: String
    /// The line in `file`.
    package let line: Int

    /// Makes an error; `file` and `line` are where this is called.
    package init(
        _ code: Code, subject: String? = nil, detail: String? = nil, file: String = #fileID, line: Int = #line
    ) {
        self.code = code
        self.subject = subject
        self.detail = detail
        self.file = file
        self.line = line
    }

    /// The constant sentence of the code.
    package var message: String { code.message }
}

extension TLSError: Equatable {
    /// Equal codes make equal errors.
    package static func == (left: TLSError, right: TLSError) -> Bool { left.code == right.code }
}

extension TLSError: CustomStringConvertible {
    /// The message, what it is about, and OpenSSL's words in brackets.
    package var description: String {
        var text = message
        if let subject { text += ": \(subject)" }
        if let detail { text += " (\(detail))" }
        return text
    }
}
