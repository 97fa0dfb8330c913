// SPDX-License-Identifier: Apache-2.0

import Foundation

/// `relay-fuzzer list` names the decoders; `relay-fuzzer DECODER ...` runs libFuzzer on one, with its own arguments
/// behind the name.
@main
struct FuzzerProgram {
    /// libFuzzer starts its program again, without the name, to merge inputs and to make one smaller.
    private static let variable = "RELAY_FUZZED_DECODER"

    static func main() {
        var arguments = CommandLine.arguments
        guard arguments.count > 1, arguments[1] != "list" else {
            for decoder in FuzzedDecoder.all {
                print(decoder.name, decoder.longest, decoder.sources.joined(separator: ","), separator: "\t")
            }
            return
        }
        let name = ProcessInfo.processInfo.environment[variable] ?? arguments.remove(at: 1)
        guard let decoder = FuzzedDecoder.all.first(where: { $0.name == name }) else {
            fail("relay-fuzzer: \(name) is no decoder; relay-fuzzer list names them")
        }
        chosen = decoder
        setenv(variable, name, 1)
        var pointers = arguments.map { unsafe strdup($0) } + [nil]
        var count = CInt(arguments.count)
        let status = unsafe pointers.withUnsafeMutableBufferPointer { buffer in
            var first = buffer.baseAddress
            return unsafe withUnsafeMutablePointer(to: &first) { first in
                unsafe first.withMemoryRebound(
                    to: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?.self, capacity: 1
                ) {
                    unsafe runDriver(&count, $0) { bytes, size in
                        FuzzerProgram.run(unsafe Array(UnsafeBufferPointer(start: bytes, count: size)))
                        return 0
                    }
                }
            }
        }
        exit(status)
    }

    /// Set once, before the first input.
    nonisolated(unsafe) private static var chosen: FuzzedDecoder?

    /// What its inputs consist of.
    static var form: InputForm { unsafe chosen?.form ?? .bytes }

    private static func run(_ input: [UInt8]) {
        do {
            try unsafe chosen?.run(input)
        } catch {
            fail("\(error)")
        }
    }

    /// libFuzzer keeps the input of a process that aborts.
    private static func fail(_ message: String) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        abort()
    }
}

/// The entry of libFuzzer for programs with a main function of their own; no header has it.
@_silgen_name("LLVMFuzzerRunDriver") private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt
