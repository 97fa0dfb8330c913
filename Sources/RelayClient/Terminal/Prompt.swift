// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
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

    /// Asks `question`, which has to be fit for a terminal. True for `y` and `yes`, false for anything else; nil when
    /// nobody answered within `timeout`, or the task was cancelled. What was typed before the question is thrown away.
    func ask(_ question: String, timeout: TimeAmount = Defaults.promptTimeout) async -> Bool? {
        await answer(to: question + " [y/N] ", echoes: true, timeout: timeout).map { answer in
            answer.lowercased() == "y" || answer.lowercased() == "yes"
        }
    }

    /// Asks for a line that is not shown while it is typed. Nil like in ``ask(_:timeout:)``, and for an empty line.
    func askSecret(_ question: String, timeout: TimeAmount = Defaults.promptTimeout) async -> String? {
        let answer = await answer(to: question + " ", echoes: false, timeout: timeout)
        return answer.flatMap { answer in answer.isEmpty ? nil : answer }
    }

    private func answer(to question: String, echoes: Bool, timeout: TimeAmount) async -> String? {
        let deadline = NIODeadline.now() + timeout
        let cancellation = Cancellation()
        return await withTaskCancellationHandler {
            try? await BlockingWork.questions.runAbandonable {
                guard NIODeadline.now() < deadline else { return nil }
                reporter?.hold()
                defer { reporter?.release() }
                return converse(question, echoes: echoes, deadline: deadline, cancellation: cancellation)
            }
        } onCancel: {
            cancellation.isCancelled.store(true, ordering: .relaxed)
        }
    }

    private func converse(
        _ question: String, echoes: Bool, deadline: NIODeadline, cancellation: Cancellation
    ) -> String? {
        let saved = echoes ? nil : silence()
        defer { if var saved { unsafe tcsetattr(input.descriptor, TCSAFLUSH, &saved) } }
        tcflush(input.descriptor, TCIFLUSH)
        write(question)
        let answer = readLine(deadline: deadline, cancellation: cancellation)
        if answer == nil || !echoes { write("\n") }
        return answer
    }

    private func readLine(deadline: NIODeadline, cancellation: Cancellation) -> String? {
        var line: [UInt8] = []
        var space = [UInt8](repeating: 0, count: Defaults.maximumAnswer)
        while NIODeadline.now() < deadline, !cancellation.isCancelled.load(ordering: .relaxed) {
            var waiting = pollfd(fd: input.descriptor, events: Int16(POLLIN), revents: 0)
            guard let ready = try? SystemCall.check({ unsafe poll(&waiting, 1, Self.pollMilliseconds) }) else {
                return nil
            }
            if ready == 0 { continue }
            guard let count = try? SystemCall.check({ unsafe read(input.descriptor, &space, space.count) }) else {
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

    /// How soon a cancelled question lets go of the terminal.
    private static let pollMilliseconds: Int32 = 100

    /// Stops the terminal from showing what is typed; returns how it was before.
    private func silence() -> termios? {
        var settings = termios()
        guard unsafe tcgetattr(input.descriptor, &settings) == 0 else { return nil }
        let saved = settings
        settings.c_lflag &= ~tcflag_t(ECHO)
        unsafe tcsetattr(input.descriptor, TCSAFLUSH, &settings)
        return saved
    }

    private func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in try? unsafe SystemCall.writeAll(UnsafeRawBufferPointer(bytes), to: output.descriptor) }
    }

    private static func openTerminal() -> OpenFile? {
        if let terminal = try? OpenFile("/dev/tty", flags: O_RDWR | O_NOCTTY) {
            // In the background, reading would stop the process.
            return tcgetpgrp(terminal.descriptor) == getpgrp() ? terminal : nil
        }
        // A terminal that controls no session, as some containers have.
        guard isatty(STDIN_FILENO) == 1, let copy = try? SystemCall.check({ dup(STDIN_FILENO) }) else { return nil }
        return OpenFile(descriptor: copy)
    }

    /// Whether the answer is still wanted.
    private final class Cancellation: Sendable {
        let isCancelled = Atomic(false)
    }
}
