// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization

/// Questions to the person at the terminal, one after the other.
struct Prompt: Sendable {
    private let input: OpenFile
    private let output: OpenFile
    private let reporter: Reporter?

    /// Asks on this process's terminal; nil when it has none, or is in the background. `reporter` keeps the terminal
    /// clear meanwhile.
    init?(reporter: Reporter? = nil) {
        guard let terminal = Self.openTerminal() else { return nil }
        self.init(input: terminal, output: terminal, reporter: reporter)
    }

    /// Asks on `output` and reads on `input`, which has to be a terminal.
    init(input: OpenFile, output: OpenFile, reporter: Reporter? = nil) {
        self.input = input
        self.output = output
        self.reporter = reporter
    }

    /// Asks `question`, which has to be fit for a terminal. True for `y` and `yes`, false for `n`, `no` and an empty
    /// line, and for anything else once that was answered several times; nil when the user did not answer within
    /// `timeout`, or the task was cancelled. Input before the question is discarded.
    func ask(_ question: String, timeout: TimeAmount = Defaults.promptTimeout) async -> Bool? {
        let deadline = NIODeadline.now() + timeout
        var words = question
        for _ in 0..<Defaults.mostQuestions {
            let left = deadline - .now()
            guard let answer = await answer(to: words + " [y/N] ", echoes: true, timeout: left) else { return nil }
            switch answer.lowercased() {
            case "y", "yes": return true
            case "n", "no", "": return false
            default: words = "That is neither y nor n."
            }
        }
        return false
    }

    /// Asks for a line that is not shown while it is typed. Nil like in ``ask(_:timeout:)``, and for an empty line.
    func askSecret(_ question: String, timeout: TimeAmount = Defaults.promptTimeout) async -> String? {
        let answer = await answer(to: question + " ", echoes: false, timeout: timeout)
        return answer.flatMap { answer in answer.isEmpty ? nil : answer }
    }

    private func answer(to question: String, echoes: Bool, timeout: TimeAmount) async -> String? {
        let deadline = NIODeadline.now() + timeout
        let echo = TerminalEcho(input)
        return await withTaskCancellationHandler {
            try? await BlockingWork.questions.runAbandonable {
                guard NIODeadline.now() < deadline else { return nil }
                reporter?.hold()
                defer { reporter?.release() }
                return converse(question, echoes: echoes, deadline: deadline, echo: echo)
            }
        } onCancel: {
            // At once: the task that cancels may end the process before the thread that asks hears of it.
            echo.release()
        }
    }

    private func converse(_ question: String, echoes: Bool, deadline: NIODeadline, echo: TerminalEcho) -> String? {
        if !echoes { echo.silence() }
        defer { echo.release() }
        tcflush(input.descriptor, TCIFLUSH)
        write(question)
        let answer = readLine(deadline: deadline, echo: echo)
        if answer == nil || !echoes { write("\n") }
        return answer
    }

    private func readLine(deadline: NIODeadline, echo: TerminalEcho) -> String? {
        var line: [UInt8] = []
        var space = [UInt8](repeating: 0, count: Defaults.maximumAnswer)
        while NIODeadline.now() < deadline, !echo.isReleased {
            var waiting = pollfd(fd: input.descriptor, events: Int16(POLLIN), revents: 0)
            guard let ready = try? SystemError.check({ unsafe poll(&waiting, 1, Defaults.promptPoll) }) else {
                return nil
            }
            if ready == 0 { continue }
            guard let count = try? SystemError.check({ unsafe read(input.descriptor, &space, space.count) }) else {
                return nil
            }
            line += space.prefix(count)
            let isComplete = count == 0 || line.contains(0x0A) || line.count >= Defaults.maximumAnswer
            guard isComplete else { continue }
            let text = String(decoding: line.prefix { byte in byte != 0x0A }, as: UTF8.self)
            return String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        }
        return nil
    }

    private func write(_ text: String) {
        var text = text
        text.withUTF8 { try? unsafe SystemError.writeAll(UnsafeRawBufferPointer($0), to: output.descriptor) }
    }

    private static func openTerminal() -> OpenFile? {
        if let terminal = try? OpenFile("/dev/tty", flags: O_RDWR | O_NOCTTY) {
            // In the background, reading would stop the process.
            return tcgetpgrp(terminal.descriptor) == getpgrp() ? terminal : nil
        }
        // A terminal that controls no session, as some containers have.
        guard isatty(STDIN_FILENO) == 1, let copy = try? SystemError.check({ fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) })
        else { return nil }
        return OpenFile(descriptor: copy)
    }
}

/// Whether a terminal shows what is typed, for one question. Its state is restored once ``release()`` returns, on
/// whichever thread that is called first. Nothing here waits, also not for a terminal that is stopped (Ctrl-S).
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
