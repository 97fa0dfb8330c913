// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct ProfileTests {
    let temporary: TemporaryDirectory
    let path: String
    let alice: PeerName

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("config/relay")
        alice = try #require(PeerName(rawValue: "alice"))
    }

    private func create(server: String = "https://relay.example.com:8443", ca: String? = nil) throws -> Profile {
        try Profile.create(directory: path, name: alice, server: server, caPath: ca)
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    @Test func whatIsSavedIsLoaded() throws {
        let ca = try temporary.write(Data("ca".utf8), to: "ca.pem")
        let profile = try create(ca: ca)
        try profile.save()
        let loaded = try Profile.load(directory: path)
        #expect(loaded.name == alice)
        #expect(loaded.server == "https://relay.example.com:8443")
        #expect(loaded.caPath == ca)
        #expect(loaded.signingKey.rawRepresentation == profile.signingKey.rawRepresentation)
        #expect(loaded.fingerprint == profile.fingerprint)
        #expect(loaded.warnings.isEmpty)
        #expect(loaded.description == "alice at https://relay.example.com:8443")
    }

    @Test func aProfileOfAnEarlierVersionHasAKeyThatNothingUses() throws {
        let profile = try create()
        try profile.save()
        let file = path + "/keys.json"
        let keys = try String(contentsOfFile: file, encoding: .utf8)
        #expect(!keys.contains("exchange"))
        let exchange = Base64URL.encode([UInt8](repeating: 9, count: 32))
        try Data(keys.replacing("{", with: "{\"exchange\":\"\(exchange)\",").utf8)
            .write(to: URL(fileURLWithPath: file))
        #expect(try Profile.load(directory: path).fingerprint == profile.fingerprint)
        #expect(try create().fingerprint == profile.fingerprint)
    }

    @Test func withoutALoginThereIsNoProfile() throws {
        let missing = caught(FileError.self) { _ = try Profile.load(directory: path) }
        #expect(missing?.code == .noProfile)
        #expect(missing?.status.rawValue == 78)
        #expect(missing?.message.contains("relay-client login") == true)
        _ = try create()
        #expect(caught(FileError.self) { _ = try Profile.load(directory: path) }?.code == .noProfile)
    }

    @Test func aSecondLoginKeepsTheKeys() throws {
        let first = try create()
        try first.save()
        let second = try create(server: "https://other.example.com")
        #expect(second.signingKey.rawRepresentation == first.signingKey.rawRepresentation)
        #expect(try Profile.load(directory: path).server == "https://relay.example.com:8443")
        try second.save()
        #expect(try Profile.load(directory: path).server == "https://other.example.com")
    }

    @Test func manyAtOnceGetTheSameKeys() async throws {
        let path = path
        let alice = alice
        let keys = try await withThrowingTaskGroup(of: Data.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    let profile = try Profile.create(directory: path, name: alice, server: "https://x", caPath: nil)
                    try profile.save()
                    return profile.signingKey.rawRepresentation
                }
            }
            return try await group.reduce(into: Set<Data>()) { keys, key in keys.insert(key) }
        }
        #expect(keys.count == 1)
        #expect(try Profile.load(directory: path).signingKey.rawRepresentation == keys.first)
        let listing = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        #expect(listing == [".lock", "keys.json", "profile.json"])
    }

    /// Peers' mistake 21: secrets that others can read.
    @Test func aProfileIsReadableByItsOwnerOnly() throws {
        try create().save()
        #expect(mode(path) == 0o700)
        #expect(mode(path + "/keys.json") == 0o600)
        #expect(mode(path + "/profile.json") == 0o600)
        #expect(chmod(path, 0o755) == 0)
        #expect(chmod(path + "/keys.json", 0o644) == 0)
        let loaded = try Profile.load(directory: path)
        #expect(loaded.warnings.count == 2)
        #expect(loaded.warnings.contains { warning in warning.contains("keys.json") })
        #expect(mode(path) == 0o700)
        #expect(mode(path + "/keys.json") == 0o600)
        #expect(try Profile.load(directory: path).warnings.isEmpty)
    }

    /// Peers' mistake 21. A process that may not change the owner of files checks one that another user owns already.
    @Test func aProfileOfAnotherUserIsRefused() throws {
        try create().save()
        let foreign = chown(path + "/keys.json", 12_345, .max) == 0 ? path : "/proc/1"
        let refused = caught(FileError.self) { _ = try Profile.load(directory: foreign) }
        if foreign == path || geteuid() != 0 {
            #expect(refused?.message.contains("another user") == true)
        }
        #expect(refused?.code == .unusableProfile)
        #expect(refused?.status.rawValue == 78)
    }

    @Test(arguments: ["profile.json", "keys.json"], ["", "{", "{}", "[]", "{\"v\":2}", "\u{0}\u{1}", "null"])
    func aDamagedFileIsSaidToBeAndLeftAlone(_ file: String, _ content: String) throws {
        let profile = try create()
        try profile.save()
        try temporary.write(Data(content.utf8), to: "config/relay/" + file)
        let damaged = [
            caught(FileError.self) { _ = try Profile.load(directory: path) },
            caught(FileError.self) { _ = try create() },
            file == "profile.json"
                ? caught(FileError.self) { try profile.save() } : caught(FileError.self) { _ = try create() },
        ]
        for error in damaged {
            #expect(error?.code == .unusableProfile)
            #expect(error?.status.rawValue == 78)
            #expect(error?.message.contains(file) == true)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path + "/" + file)) == Data(content.utf8))
    }

    @Test func anInvalidNameInAProfileIsDamage() throws {
        try create().save()
        let bad = #"{"v":1,"name":"../x\u001b","server":"https://x"}"#
        try temporary.write(Data(bad.utf8), to: "config/relay/profile.json")
        #expect(caught(FileError.self) { _ = try Profile.load(directory: path) }?.code == .unusableProfile)
    }

    @Test func lostKeysAreAnError() throws {
        try create().save()
        #expect(unlink(path + "/keys.json") == 0)
        let lost = caught(FileError.self) { _ = try Profile.load(directory: path) }
        #expect(lost?.code == .unusableProfile)
        #expect(lost?.message.contains("keys.json") == true)
    }

    @Test func whatIsNoRegularFileOrTooLargeIsRefused() throws {
        try create().save()
        try temporary.write(Data(repeating: 32, count: 1_000_000), to: "config/relay/profile.json")
        #expect(caught(FileError.self) { _ = try Profile.load(directory: path) }?.message.contains("too large") == true)
        #expect(unlink(path + "/profile.json") == 0)
        #expect(mkfifo(path + "/profile.json", 0o600) == 0)
        #expect(caught(FileError.self) { _ = try Profile.load(directory: path) }?.message.contains("regular") == true)
    }

    @Test func aFolderThatCannotBeWrittenIsAnError() throws {
        let file = try temporary.write(Data(), to: "file")
        for directory in [file, file + "/below", "/proc/self/below"] {
            let refused = caught(FileError.self) {
                _ = try Profile.create(directory: directory, name: alice, server: "https://x", caPath: nil)
            }
            #expect(refused?.code == .cannotCreate)
            #expect(refused?.status.rawValue == 73)
        }
    }

    @Test func theDefaultFolderFollowsTheXDGSpecification() throws {
        #expect(try ProfileLocation.directory(environment: ["HOME": "/home/a"]) == "/home/a/.config/relay")
        let both = ["HOME": "/home/a", "XDG_CONFIG_HOME": "/c"]
        #expect(try ProfileLocation.directory(environment: both) == "/c/relay")
        let relative = ["HOME": "/home/a", "XDG_CONFIG_HOME": "c"]
        #expect(try ProfileLocation.directory(environment: relative) == "/home/a/.config/relay")
        #expect(caught(FileError.self) { _ = try ProfileLocation.directory(environment: [:]) }?.status.rawValue == 78)
    }

    @Test func theFingerprintIsThatOfTheSealedFormat() throws {
        let profile = try create()
        let key = try #require(SigningKey(bytes: profile.signingKey.publicKey.rawRepresentation))
        #expect(profile.fingerprint == Fingerprint(of: key))
    }

    @Test func theAuthoritysPathIsKeptWholeWhereverALaterCommandRuns() throws {
        let ca = try temporary.write(Data("ca".utf8), to: "ca.pem")
        #expect(symlink(temporary.path, temporary.file("link")) == 0)
        #expect(try create(ca: temporary.file("link/./ca.pem")).caPath == ca)
        // What is not there yet stays as it was written.
        #expect(try create(ca: "none/ca.pem").caPath == "none/ca.pem")
    }

    @Test func aProfileWithoutAnAuthorityHasNone() throws {
        try create().save()
        #expect(try Profile.load(directory: path).caPath == nil)
    }

    @Test func keysOfAWrongLengthAreDamage() throws {
        try create().save()
        let file = path + "/keys.json"
        let good = try String(contentsOfFile: file, encoding: .utf8)
        for length in [0, 31, 33, 64] {
            let key = Base64URL.encode([UInt8](repeating: 7, count: length))
            let bad = good.replacing(try Regex(#""signing" : "[^"]*""#), with: "\"signing\" : \"\(key)\"")
            #expect(bad != good)
            try temporary.write(Data(bad.utf8), to: "config/relay/keys.json")
            #expect(caught(FileError.self) { _ = try Profile.load(directory: path) }?.code == .unusableProfile)
            #expect(caught(FileError.self) { _ = try create() }?.code == .unusableProfile)
        }
        try temporary.write(Data(good.utf8), to: "config/relay/keys.json")
        #expect(try Profile.load(directory: path).name == alice)
    }

    @Test func aLockThatCannotBeTakenIsAnError() throws {
        try create().save()
        #expect(unlink(path + "/.lock") == 0 && mkdir(path + "/.lock", 0o700) == 0)
        for locked in [
            caught(FileError.self) { _ = try create() },
            caught(FileError.self) { try Profile.load(directory: path).save() },
        ] {
            #expect(locked?.code == .cannotCreate && locked?.message.contains("cannot lock the profile") == true)
        }
    }

    @Test func aFileIsWrittenWholeOrNotAtAll() throws {
        let folder = try #require(try PrivateDirectory(path: path, creating: true))
        try folder.write(Data("old".utf8), to: "file", replacing: false)
        let taken = caught(FileError.self) { try folder.write(Data("new".utf8), to: "file", replacing: false) }
        #expect(taken?.code == .cannotCreate && taken?.message.contains("file") == true)
        #expect(try String(contentsOfFile: path + "/file", encoding: .utf8) == "old")
        try folder.write(Data("new".utf8), to: "file", replacing: true)
        #expect(try String(contentsOfFile: path + "/file", encoding: .utf8) == "new")
        #expect(mkdir(path + "/taken", 0o700) == 0)
        #expect(
            caught(FileError.self) { try folder.write(Data(), to: "taken", replacing: true) }?.code == .cannotCreate)
        // No temporary file is left behind by any of them.
        #expect(try temporary.names(in: "config/relay") == ["file", "taken"])
    }

    @Test func anIdentitysCredentialsAreOfOnePurposeAndOneRelay() throws {
        let identity = Identity(try create())
        let nonce = Nonce.random()
        let made = try identity.credentials(purpose: .login, audience: "relay.example.com", nonce: nonce)
        let credentials = try #require(made)
        #expect(credentials.name == alice && credentials.agent.rawValue == ClientAgent.text)
        func isSigned(_ purpose: Credentials.Purpose, _ audience: String, _ nonce: Nonce) -> Bool {
            let bytes = Credentials.signedBytes(
                purpose: purpose, audience: audience, name: alice, nonce: nonce
            )
            return identity.signingKey.publicKey.isValidSignature(credentials.signature.bytes, for: bytes)
        }
        #expect(isSigned(.login, "relay.example.com", nonce))
        #expect(!isSigned(.register, "relay.example.com", nonce) && !isSigned(.login, "relay.example.org", nonce))
        #expect(!isSigned(.login, "relay.example.com", .random()))
    }
}
