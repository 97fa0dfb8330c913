// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// What OpenSSL left in this thread's error queue.
struct OpenSSLFailure: Equatable {
    /// The library the first error came from: one of `ERR_LIB_…`; 0 when the queue was empty.
    var library: CInt = 0
    /// The first error's reason within its library.
    var reason: CInt = 0
    /// All of the queue as text, or nil when it was empty.
    var text: String?

    /// Whether the operating system refused something (no such file, not allowed).
    var isSystem = false
}

/// The error queue of OpenSSL, which belongs to the thread: empty it before a call, drain it right after.
enum ErrorQueue {
    /// Forgets whatever earlier calls left.
    static func clear() {
        // It is empty nearly always, and to ask costs much less than to clear its sixteen entries for each record.
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    /// Takes everything out of the queue.
    static func drain() -> OpenSSLFailure {
        var failure = OpenSSLFailure()
        var lines: [String] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { break }
            if lines.isEmpty {
                failure.library = ERR_GET_LIB(code)
                failure.reason = ERR_GET_REASON(code)
            }
            if ERR_GET_LIB(code) == ERR_LIB_SYS { failure.isSystem = true }
            if lines.count < TLSDefaults.errorEntries { lines.append(text(of: code)) }
        }
        failure.text = lines.isEmpty ? nil : lines.joined(separator: "; ")
        return failure
    }

    private static func text(of code: UInt) -> String {
        if let reason = unsafe ERR_reason_error_string(code) { return unsafe String(cString: reason) }
        if ERR_GET_LIB(code) == ERR_LIB_SYS, let text = unsafe strerror(ERR_GET_REASON(code)) {
            return unsafe String(cString: text)
        }
        return "error \(code)"
    }
}
