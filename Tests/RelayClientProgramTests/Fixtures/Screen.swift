// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Crypto
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A client whose standard streams are two files, and the profile of alice.
struct Screen {
    let client: Client
    private let folder: TemporaryDirectory
    private let output: FileHandle
    private let errors: FileHandle

    init(hasProfile: Bool = true) throws {
        folder = try TemporaryDirectory()
        let directory = folder.file("profile")
        if hasProfile {
            let alice = try #require(PeerName(rawValue: "alice"))
            try Profile.create(directory: directory, name: alice, server: "https://relay.example.com", caPath: nil)
                .save()
        }
        output = try #require(FileHandle(forUpdatingAtPath: try folder.write(Data(), to: "out")))
        errors = try #require(FileHandle(forUpdatingAtPath: try folder.write(Data(), to: "err")))
        let reporter = Reporter(
            mode: .plain, output: output.fileDescriptor, errors: errors.fileDescriptor)
        client = try Client(
            try GlobalOptions.parse([]), environment: Environment(variables: ["RELAY_PROFILE": directory]),
            reporter: reporter)
    }

    /// What was written since the last look.
    func take() -> (output: String, errors: String) { (Self.take(output), Self.take(errors)) }

    private static func take(_ file: FileHandle) -> String {
        file.seek(toFileOffset: 0)
        defer {
            file.truncateFile(atOffset: 0)
            file.seek(toFileOffset: 0)
        }
        return String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
    }

    /// What `body` throws; nil when it throws nothing.
    static func error(_ body: () async throws -> Void) async -> ClientError? {
        do {
            try await body()
            return nil
        } catch {
            return ClientError(error)
        }
    }

    /// Someone with a fresh identity.
    static func person(_ name: String) throws -> Party {
        let key = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
        return Party(name: try #require(PeerName(rawValue: name)), identity: try #require(SigningKey(bytes: key)))
    }
}
