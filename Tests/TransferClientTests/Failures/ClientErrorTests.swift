// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import TransferClient

/// The one error of the client: whatever it is made of comes out of it again.
@Suite struct ClientErrorTests {
    private struct Foreign: Error {}

    private static let connection = ConnectionError(.tcp, "no route", advice: "look", status: .unreachable)
    private static let file = FileError(code: .noSpace, message: "the disk is full")
    private static let profile = FileError(code: .noProfile, message: "log in first")
    private static let transfer = TransferFailure(code: .declined, "bob declined it", "ask bob")

    /// Each cause, what is made of it, the line, and the status.
    private static let table: [(any Error, ClientError, String, TransferClient.ExitStatus)] = [
        (connection, .connection(connection), "no route; look", .unreachable),
        (StreamError.cut, .stream(.cut), "the stream was cut", .unreachable),
        (StreamError.connection(connection), .stream(.connection(connection)), "no route", .unreachable),
        (file, .file(file), "the disk is full", .inputOutput),
        (
            SealingError.doesNotOpen(.chunk), .sealing(.doesNotOpen(.chunk)),
            "the chunk does not open: it was altered, or is meant for another transfer", .corrupt
        ),
        (SealingError.unusableKey, .sealing(.unusableKey), "a key of this profile cannot be used", .configuration),
        (ClientError.tooLarge, .tooLarge, "it is larger than --max-size; raise --max-size to take it", .refused),
        (transfer, .transfer(transfer), "bob declined it; ask bob", .refused),
        (profile, .file(profile), "log in first", .configuration),
        (CancellationError(), .interrupted, "interrupted", .interrupted),
        (ClientError.command("no", .usage), .command("no", .usage), "no", .usage),
    ]

    @Test func everyCauseIsKept() {
        for (cause, error, line, status) in Self.table {
            #expect(ClientError(cause) == error)
            #expect(error.description == line && error.status == status)
            // A second time changes nothing.
            #expect(ClientError(error) == error)
        }
        #expect(ClientError(Foreign()).status == .inputOutput)
    }

    @Test func theOtherSideIsToldTheFilesOwnCode() {
        #expect(ClientError.file(Self.file).failureCode(or: .cannotRead) == .noSpace)
        #expect(ClientError.sealing(.doesNotOpen(.chunk)).failureCode(or: .cannotWrite) == .verificationFailed)
        #expect(ClientError.sealing(.content(.missingFiles)).failureCode(or: .cannotWrite) == .protocolError)
        #expect(ClientError.sealing(.unreadable(.grew)).failureCode(or: .cannotWrite) == .sourceChanged)
        #expect(ClientError.sealing(.unusableKey).failureCode(or: .cannotWrite) == .cannotWrite)
        #expect(ClientError.tooLarge.failureCode(or: .cannotWrite) == .tooLarge)
        #expect(ClientError.interrupted.failureCode(or: .cannotWrite) == .cancelled)
        #expect(ClientError.connection(Self.connection).failureCode(or: .cannotWrite) == .cannotWrite)
        #expect(ClientError.command("no", .usage).failureCode(or: .cannotRead) == .cannotRead)
    }

    @Test(arguments: RefusalCode.allCases) func everyCodeOfTheFormatIsOneThatAClientMaySay(_ code: RefusalCode) throws {
        #expect(try #require(FailureCode(rawValue: code.rawValue)).isClients)
    }

    @Test func onlyTheCauseThatItHasIsGiven() {
        #expect(ClientError.stream(.silent).stream == .silent && ClientError.stream(.silent).file == nil)
        #expect(ClientError.file(Self.file).file == Self.file && ClientError.file(Self.file).stream == nil)
    }

    @Test(arguments: FileError.Code.allCases) func everyFileErrorHasACodeOfAClientButThoseOfTheProfile(
        _ code: FileError.Code
    ) {
        let error = FileError(code: code, message: "x")
        #expect(error.description == "x")
        guard let failure = error.failureCode else {
            #expect(error.status == .configuration)
            #expect(ClientError.file(error).failureCode(or: .cannotRead) == .cannotRead)
            return
        }
        // What came from the other client may be of another form; everything else is of this computer.
        let ours: [TransferClient.ExitStatus] = [.noInput, .cannotCreate, .inputOutput]
        #expect(failure.isClients && (code == .malformed ? [.protocolBreach] : ours).contains(error.status))
    }

    // MARK: - Streams

    @Test func aStreamsEndHasACodeForEachSide() {
        #expect(
            StreamError.cut.code(as: .upload) == .receiverGone && StreamError.cut.code(as: .download) == .senderGone)
        #expect(StreamError.silent.code(as: .upload) == .stalled)
        #expect(StreamError.badAddress.code(as: .download) == .protocolError)
        #expect(StreamError.connection(Self.connection).code(as: .upload) == .unavailable)
        let answers: [(Int, FailureCode)] = [
            (500, .unavailable), (502, .unavailable), (503, .unavailable), (504, .unavailable), (408, .expired),
            (401, .unknownTransfer), (403, .unknownTransfer), (302, .unavailable), (404, .unavailable),
            (413, .unavailable), (429, .unavailable), (507, .unavailable), (522, .unavailable),
        ]
        for (status, code) in answers {
            #expect(StreamError.refused(HTTPResponse(status: status)).code(as: .upload) == code, "\(status)")
        }
        // A word that is not of the table is the relay's all the same: it does not understand the request.
        let words: [(Int, FailureCode)] = [
            (400, .protocolError), (404, .protocolError), (403, .unknownTransfer), (501, .protocolError),
            (502, .unavailable),
        ]
        for (status, code) in words {
            let answer = HTTPResponse(status: status, body: ByteBuffer(string: #"{"code":"a_word","message":""}"#))
            #expect(answer.isRelays && StreamError.refused(answer).code(as: .upload) == code, "\(status)")
        }
        let said = StreamError.refused(HTTPResponse(status: 502, code: .receiverGone))
        #expect(said.code(as: .upload) == .receiverGone)
        #expect(said.failure(as: .upload) == .refused(status: 502, code: .receiverGone))
        #expect(StreamError.silent.failure(as: .upload) == .cut)
        #expect(StreamError.badAddress.failure(as: .upload) == .refused(status: 0, code: .protocolError))
    }

    @Test func everyStreamErrorHasItsSummary() {
        let errors: [StreamError] = [
            .connection(Self.connection), .refused(HTTPResponse(status: 503)), .cut, .silent, .badAddress,
        ]
        #expect(Set(errors.map(\.summary)).count == errors.count)
        #expect(StreamError.refused(HTTPResponse(status: 503)).summary.contains("503"))
    }

    @Test func onlySensibleTimesToComeAgainAreTaken() {
        let times: [(String?, TimeAmount?)] = [
            (nil, nil), ("5", .seconds(5)), ("0", .zero), ("-1", nil), ("86400", .hours(24)), ("86401", nil),
            ("Wed, 21 Oct 2015 07:28:00 GMT", nil), ("", nil),
        ]
        for (text, time) in times {
            #expect(HTTPResponse(status: 503, body: ByteBuffer(), retryAfter: text).retryAfter == time)
        }
    }
}
