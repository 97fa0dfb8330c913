// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What the standard streams are connected to.
enum StandardStreams {
    /// Whether standard error is a terminal, where progress can be drawn.
    static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Whether standard output is a terminal, which received content must not be poured into.
    static var isOutputTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Writes `text` and a line feed to standard output.
    static func printLine(_ text: String) {
        var line = text + "\n"
        line.withUTF8 { bytes in
            // A reader that has left wants no more.
            try? unsafe SystemCall.writeAll(UnsafeRawBufferPointer(bytes), to: STDOUT_FILENO)
        }
    }
}
