// SPDX-License-Identifier: Apache-2.0

extension ServerMessage {
    /// The `error` that refuses request `id` for the reason `code`.
    ///
    /// - Parameter message: a sentence for a person; the code's own when left out.
    package static func refusal(_ id: RequestID, _ code: FailureCode, _ message: String? = nil) -> ServerMessage {
        .error(Refusal(id: id, code: code, message: message ?? code.sentence))
    }
}
