// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite struct ListingTransferTests {
    private static let lines = ["a", "b", "c"]
        .map { #"{"name":"\#($0)","type":"folder","modified":1}"# + "\n" }.joined()

    private func fault(_ text: String, most: Int) -> FileError? {
        let collection = ListingCollection()
        let listing = ListingTransfer(into: collection, most: most)
        do throws(FileError) {
            try listing.write(ByteBuffer(string: text))
            try listing.endFile()
            _ = listing.finish()
        } catch {
            #expect(collection.count == 0)
            return error
        }
        #expect(collection.entries.map(\.name.text) == ["a", "b", "c"])
        return nil
    }

    @Test func whatIsOfItsFormIsTaken() { #expect(fault(Self.lines, most: 3) == nil) }

    @Test func whatIsTooLongIsToldAsSuch() throws {
        let error = try #require(fault(Self.lines, most: 2))
        #expect(error.status == .cannotCreate && error.failureCode == .tooLarge)
        #expect(error.message.contains("more than 2 entries") && error.message.contains("list a folder in it"))
    }

    @Test(arguments: ["x", "\n", lines]) func whatIsOfAnotherFormIsToldAsSuch(_ rest: String) throws {
        let error = try #require(fault(Self.lines + rest, most: 10))
        #expect(error.status == .protocolBreach && error.failureCode == .protocolError)
        #expect(error.message.contains("from entry 4 on"))
    }
}
