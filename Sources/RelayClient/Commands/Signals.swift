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
        let ignored = InheritedSignals.ignored
        sources = [SIGINT, SIGTERM, SIGHUP].filter { number in !ignored.contains(number) }.map { number in
            signal(number, SIG_IGN)
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
