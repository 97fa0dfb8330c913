// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

/// The fuzzer's decoders with their corpora, in the build that all other tests run in; docs/reliability.md says how to
/// look for more.
struct CorporaTests {
    @Test(arguments: FuzzedDecoder.all.map(\.name)) func everyInputOfTheCorpusHolds(_ name: String) throws {
        let decoder = try #require(FuzzedDecoder.all.first { $0.name == name })
        let inputs = try CorpusFile.inputs(of: name)
        #expect(!inputs.isEmpty)
        for input in inputs {
            #expect(throws: Never.self, "\(input)") { try decoder.run(input) }
        }
    }

    /// A little of what the fuzzer does, also where there is none.
    @Test(arguments: FuzzedDecoder.all.map(\.name)) func damagedInputsHold(_ name: String) throws {
        let decoder = try #require(FuzzedDecoder.all.first { $0.name == name })
        for input in HostileInputs(damaging: try CorpusFile.inputs(of: name), seed: 51, count: 200) {
            #expect(throws: Never.self, "\(input)") { try decoder.run(Array(input.bytes.prefix(decoder.longest))) }
        }
    }

    @Test func partsAreWhatTheInputIs() throws {
        let records = InputForm.records(lengthBytes: 2, prefix: .damage)
        let input: [UInt8] = [0, 7, 0, 1, 9, 8, 0, 0, 6, 0, 5, 1]
        let parts = records.parts(of: input)
        #expect(parts.prefix == [0] && parts.parts == [[7, 0, 1, 9], [8, 0, 0]] && parts.rest == [6, 0, 5, 1])
        #expect(parts.joined == input)
        #expect(records.part([7, 0, 1, 9], body: [1, 2, 3]) == [7, 0, 3, 1, 2, 3])
        for decoder in FuzzedDecoder.all {
            for input in try CorpusFile.inputs(of: decoder.name) {
                #expect(decoder.form.parts(of: input).joined == input)
            }
        }
    }

    @Test func piecesThatAreReadOtherwiseAreNoticed() throws {
        #expect(throws: Broken.self) {
            try Pieces.same([1, 2, 3], "the count") { $0.count }
        }
        #expect(try Pieces.same([1, 2, 3], "the bytes") { $0.reduce(0) { $0 + $1.readableBytes } } == 3)
    }
}
