// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What whoever started this process has decided about the signals that it treats in its own way. To be looked at before
/// any of that is changed.
enum InheritedSignals {
    /// Those that this process treats in its own way at one time or another.
    private static let ours = [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ]

    /// Those of ``ours`` that were ignored from the start: by `nohup`, or for a script's job in the background.
    static let ignored = Set(ours.filter(isIgnored))

    /// Those that a program started from here has to find as ever.
    static var toRestore: [Int32] { ours.filter { number in !ignored.contains(number) } }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard unsafe sigaction(number, nil, &action) == 0 else { return false }
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
