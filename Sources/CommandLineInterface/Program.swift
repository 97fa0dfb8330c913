// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Glibc

/// What the programs do with a command line, the same in each: standard streams that hold, words that are known, and
/// answers that were written.
package enum Program {
    /// Reads and writing failed half-way (sysexits' EX_IOERR).
    private static let inputOutput: CInt = 74

    /// Runs the command that `arguments` name, and ends the process when that is an answer of the argument parser's
    /// own: help, a version, or that something is wrong with the command line.
    ///
    /// - Parameters:
    ///   - arguments: the command line without the program's name.
    ///   - completed: adds to the arguments what else is said about them, or throws what is wrong with that.
    ///   - shown: makes a line harmless that quotes arguments, which may hold anything.
    /// - Throws: what the command throws, other than an exit code or what the parser can say.
    package static func run<Root: AsyncParsableCommand>(
        _ root: Root.Type, arguments: [String], completed: ([String]) throws -> [String] = { $0 },
        shown: @Sendable (String) -> String
    ) async throws {
        do {
            try CommandWords.check(arguments, of: root)
            var command = try Root.parseAsRoot(completed(arguments))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let code as ExitCode {
            exit(code.rawValue)
        } catch  where Root.exitCode(for: error) == .success {
            answer(Root.fullMessage(for: error) + "\n")
        } catch  where Root.exitCode(for: error) == .validationFailure {
            let lines = Root.fullMessage(for: error).split(separator: "\n", omittingEmptySubsequences: false)
            try? StandardStream.write(lines.map { shown(String($0)) + "\n" }.joined(), to: STDERR_FILENO)
            exit(ExitCode.validationFailure.rawValue)
        }
    }

    /// Ends the process with `text` as its answer.
    package static func answer(_ text: String) -> Never {
        do throws(StandardStream.Lost) {
            try StandardStream.write(text)
            exit(0)
        } catch {
            try? StandardStream.write("\(error)\n", to: STDERR_FILENO)
            exit(inputOutput)
        }
    }
}
