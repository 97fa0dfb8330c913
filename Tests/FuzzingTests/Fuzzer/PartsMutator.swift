// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Changes an input part by part.
struct PartsMutator {
    private let form: InputForm
    private var generator: SeededGenerator

    init(_ form: InputForm, seed: UInt32) {
        (self.form, generator) = (form, SeededGenerator(seed: UInt64(seed)))
    }

    /// Another input of at most `longest` bytes; nil when bytes are to be changed, whatever they are of.
    mutating func changed(_ input: [UInt8], longest: Int) -> [UInt8]? {
        guard form != .bytes, Int.random(in: 0..<4, using: &generator) > 0 else { return nil }
        var parts = form.parts(of: input)
        guard let index = parts.parts.indices.randomElement(using: &generator) else { return nil }
        let place = Int.random(in: 0...parts.parts.count, using: &generator)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: parts.parts.remove(at: index)
        case 1: parts.parts.insert(parts.parts[index], at: place)
        case 2: parts.parts.swapAt(index, place % parts.parts.count)
        case 3: parts.parts.insert(other(than: parts.parts[index]), at: place)
        default: parts.parts[index] = other(than: parts.parts[index])
        }
        let changed = parts.joined
        return changed.count <= longest ? changed : nil
    }

    /// A part with a body that libFuzzer has changed.
    private func other(than part: [UInt8]) -> [UInt8] {
        let body = Array(part.dropFirst(form.headLength))
        var room = body + [UInt8](repeating: 0, count: 64)
        let count = room.count
        let length = unsafe room.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            return unsafe mutateBytes(start, body.count, count)
        }
        return form.part(part, body: Array(room.prefix(length)))
    }
}

/// libFuzzer calls it in place of its own, and takes what is left in `bytes`.
@_cdecl("LLVMFuzzerCustomMutator")
func mutate(_ bytes: UnsafeMutablePointer<UInt8>, _ size: Int, _ longest: Int, _ seed: UInt32) -> Int {
    var mutator = PartsMutator(FuzzerProgram.form, seed: seed)
    guard let changed = mutator.changed(unsafe Array(UnsafeBufferPointer(start: bytes, count: size)), longest: longest)
    else { return unsafe mutateBytes(bytes, size, longest) }
    _ = unsafe UnsafeMutableBufferPointer(start: bytes, count: longest).update(fromContentsOf: changed)
    return changed.count
}

/// libFuzzer's own; no header has it.
@_silgen_name("LLVMFuzzerMutate") private func mutateBytes(
    _ bytes: UnsafeMutablePointer<UInt8>, _ size: Int, _ longest: Int
) -> Int
