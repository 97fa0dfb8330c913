// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Testing

@testable import RelayClientProgram

/// Questions on a pseudo-terminal, one test after the other: there is one thread for questions.
@Suite(.serialized) struct PromptTests {
    /// The person's side.
    private let person: OpenFile
    /// The program's side.
    private let terminal: OpenFile

    // TIOCSPTLCK and TIOCGPTN, which Swift does not see.
    private static let unlock: UInt = 0x4004_5431
    private static let getNumber: UInt = 0x8004_5430

    init() throws {
        let person = try OpenFile("/dev/ptmx", flags: O_RDWR | O_NOCTTY)
        var number: Int32 = 0
        try SystemError.check { ioctl(person.descriptor, Self.unlock, &number) }
        try SystemError.check { ioctl(person.descriptor, Self.getNumber, &number) }
        terminal = try OpenFile("/dev/pts/\(number)", flags: O_RDWR | O_NOCTTY)
        self.person = person
    }

    private var prompt: Prompt { Prompt(input: terminal, output: terminal) }

    private func type(_ text: String) throws {
        try Array(text.utf8).withUnsafeBytes { bytes in try SystemError.writeAll(bytes, to: person.descriptor) }
    }

    /// What is on the person's screen once `text` is there.
    private func wait(for text: String) async throws -> String {
        try await BlockingWork.files.run { [person] in
            var screen = ""
            var space = [UInt8](repeating: 0, count: 1_024)
            while !screen.contains(text) {
                let count = try SystemError.check { read(person.descriptor, &space, space.count) }
                screen += String(decoding: space.prefix(count), as: UTF8.self)
            }
            return screen
        }
    }

    @Test(arguments: [
        ("y\n", true), ("YES\n", true), ("  yes \n", true), ("n\n", false), (" No\n", false), ("\n", false),
        ("\u{4}", false),
    ])
    func onlyYesIsYes(_ typed: String, _ answer: Bool) async throws {
        async let answered = prompt.ask("Accept?")
        let screen = try await wait(for: "[y/N] ")
        #expect(screen == "Accept? [y/N] ")
        try type(typed)
        #expect(await answered == answer)
    }

    /// It is no decision, and the person is asked again; not for ever.
    @Test(arguments: ["yess\n", "yes please\n", "\u{1b}[Ay\n", "j\n"], [true, false])
    func whatIsMistypedIsAskedAbout(_ typed: String, isYes: Bool) async throws {
        async let answered = prompt.ask("Accept?")
        _ = try await wait(for: "Accept? [y/N] ")
        try type(typed)
        _ = try await wait(for: "That is neither y nor n. [y/N] ")
        try type(isYes ? "y\n" : "n\n")
        #expect(await answered == isYes)
    }

    @Test func whatIsMistypedAgainAndAgainIsNo() async throws {
        async let answered = prompt.ask("Accept?")
        _ = try await wait(for: "Accept? [y/N] ")
        for _ in 1..<Defaults.mostQuestions {
            try type("j\n")
            _ = try await wait(for: "nor n. [y/N] ")
        }
        try type("j\n")
        #expect(await answered == false)
    }

    /// A `y` that was meant for something else must not accept a file.
    @Test func whatWasTypedBeforeTheQuestionDoesNotCount() async throws {
        try type("y\n")
        _ = try await wait(for: "y\r\n")
        async let answered = prompt.ask("Accept?")
        _ = try await wait(for: "[y/N] ")
        try type("n\n")
        #expect(await answered == false)
    }

    @Test func aQuestionWithoutAnAnswerEndsAtItsTimeout() async {
        #expect(await prompt.ask("Accept?", timeout: .zero) == nil)
        #expect(await prompt.ask("Accept?", timeout: .milliseconds(1)) == nil)
    }

    @Test func aCancelledQuestionLetsTheNextOneAsk() async throws {
        let first = Task { await prompt.ask("First?") }
        _ = try await wait(for: "First? [y/N] ")
        first.cancel()
        #expect(await first.value == nil)
        async let second = prompt.ask("Second?")
        _ = try await wait(for: "Second? [y/N] ")
        try type("y\n")
        #expect(await second == true)
    }

    @Test func aSecretIsNotShown() async throws {
        async let secret = prompt.askSecret("Invitation:")
        _ = try await wait(for: "Invitation: ")
        try type(" s3cret \n")
        #expect(await secret == "s3cret")
        async let answered = prompt.ask("Accept?")
        #expect(try await !wait(for: "[y/N] ").contains("s3cret"))
        try type("y\n")
        #expect(try await wait(for: "y").contains("y"))
        #expect(await answered == true)
    }

    private var echoes: Bool {
        get throws {
            var settings = termios()
            try SystemError.check { tcgetattr(terminal.descriptor, &settings) }
            return settings.c_lflag & tcflag_t(ECHO) != 0
        }
    }

    /// The caller that cancels ends the process next: there is no time for the thread that asks.
    @Test func aCancelledSecretGivesTheEchoBackAtOnce() async throws {
        let secret = Task { await prompt.askSecret("Invitation:") }
        _ = try await wait(for: "Invitation: ")
        #expect(try !echoes)
        secret.cancel()
        #expect(try echoes)
        #expect(await secret.value == nil)
        // Nor does a question that is over before it was asked change anything.
        let late = TerminalEcho(terminal)
        late.release()
        late.silence()
        #expect(try echoes)
    }

    @Test func theReporterKeepsTheTerminalClear() async throws {
        let descriptor = terminal.descriptor
        let reporter = Reporter(mode: .terminal(isColoured: false), output: descriptor, errors: descriptor)
        let prompt = Prompt(input: terminal, output: terminal, reporter: reporter)
        async let answered = prompt.ask("Accept?")
        _ = try await wait(for: "[y/N] ")
        reporter.report(.notice("meanwhile"))
        try type("y\n")
        #expect(await answered == true)
        let screen = try await wait(for: "meanwhile")
        #expect(screen.hasPrefix("y\r\n"))
        reporter.finish()
    }
}
