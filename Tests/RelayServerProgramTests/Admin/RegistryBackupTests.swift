// SPDX-License-Identifier: Apache-2.0

import Foundation
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayServerProgram

@Suite("A copy of the registry")
struct RegistryBackupTests {
    private let copy: RegistryCopy

    init() throws {
        let users = ["alice", "bob"].map { name in
            AccountRecord(
                User(name: .test(name), key: .random()),
                name == "bob" ? UserAccount(disabled: UnixTime(seconds: 5), note: "é", limits: [.rate: 1 << 20]) : nil)
        }
        let digest = try #require(InvitationCode(rawValue: "code")?.digest)
        copy = RegistryCopy(
            users: users,
            invitations: [Invitation(digest: digest, name: nil, expires: UnixTime(seconds: 9), note: "n")])
    }

    @Test("is read as it was written")
    func roundTrip() throws {
        let text = try RegistryBackup.text(of: copy, at: LogTime(seconds: 0, milliseconds: 0))
        #expect(try RegistryBackup.read(Data(text.utf8), from: "f") == copy)
    }

    @Test("with any byte changed, or an end missing, is refused")
    func damaged() throws {
        let bytes = Array(try RegistryBackup.text(of: copy, at: LogTime(seconds: 0, milliseconds: 0)).utf8)
        for position in bytes.indices {
            var damaged = bytes
            damaged[position] ^= 1
            #expect(throws: OperatorError.self, "byte \(position)") {
                try RegistryBackup.read(Data(damaged), from: "f")
            }
        }
        for length in stride(from: 0, to: bytes.count, by: 7) {
            #expect(throws: OperatorError.self) { try RegistryBackup.read(Data(bytes[..<length]), from: "f") }
        }
    }

    @Test("names the line that is wrong")
    func line() throws {
        var text = try RegistryBackup.text(of: copy, at: LogTime(seconds: 0, milliseconds: 0))
        text = text.replacing("\"bob\"", with: "\"rob\"")
        let error = #expect(throws: OperatorError.self) { try RegistryBackup.read(Data(text.utf8), from: "f") }
        #expect(error?.status == .corrupt && error?.message.contains("damaged on line 3") == true)
    }
}
