// SPDX-License-Identifier: Apache-2.0

import Dispatch

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Turns the first SIGINT, SIGTERM or SIGHUP into an interruption. The second one ends the process as ever. What whoever
/// started this process has it ignore (`nohup`, a script's background job) stays ignored.
struct Signals {
    private let sources: [any DispatchSourceSignal]

    init(interruption: Interruption) {
        sources = [SIGINT, SIGTERM, SIGHUP].compactMap { number -> (any DispatchSourceSignal)? in
            let before = signal(number, SIG_IGN)
            guard unsafe unsafeBitCast(before, to: Int.self) != unsafeBitCast(SIG_IGN, to: Int.self) else { return nil }
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                signal(number, SIG_DFL)
                interruption.interrupt()
            }
            source.resume()
            return source
        }
        // A reader that leaves is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Stops listening.
    func stop() {
        for source in sources { source.cancel() }
    }
}
