// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Whether a terminal shows what is typed, for one question. It is as it was once ``release()`` returns, whoever calls
/// that first and on whichever thread. Nothing here waits, also not for a terminal that is stopped (Ctrl-S).
final class TerminalEcho: Sendable {
    private let terminal: OpenFile
    private let state = Mutex(State())

    private struct State {
        var isReleased = false
        /// How the terminal was; nil while nothing was changed.
        var saved: termios?
    }

    init(_ terminal: OpenFile) { self.terminal = terminal }

    /// Whether the question is over, or its answer no longer wanted.
    var isReleased: Bool { state.withLock { state in state.isReleased } }

    /// Shows no more of what is typed, unless the question is over already.
    func silence() {
        state.withLock { state in
            var settings = termios()
            guard !state.isReleased, unsafe tcgetattr(terminal.descriptor, &settings) == 0 else { return }
            state.saved = settings
            settings.c_lflag &= ~tcflag_t(ECHO)
            unsafe tcsetattr(terminal.descriptor, TCSANOW, &settings)
        }
    }

    /// Gives the terminal back as it was; what was typed unseen and not read is thrown away.
    func release() {
        state.withLock { state in
            state.isReleased = true
            guard var saved = state.saved else { return }
            state.saved = nil
            tcflush(terminal.descriptor, TCIFLUSH)
            unsafe tcsetattr(terminal.descriptor, TCSANOW, &saved)
        }
    }
}
