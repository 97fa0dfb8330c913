// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import Glibc
import Sealing
import TransferClient
import WSProtocol

/// A user's identity on one relay: a folder with `profile.json` (name, relay, CA) and `keys.json` (the secret key).
///
/// The order of a login: ``create(directory:name:server:caPath:)`` makes the keys durable, then the relay is asked,
/// then ``save()``. Cut anywhere in between, a second login uses the same keys, to which the name may belong already.
struct Profile: Sendable, CustomStringConvertible {
    /// The folder it is in.
    let directory: String
    let name: PeerName
    /// The relay's URL.
    let server: String
    /// A file of certificates to trust instead of the system's; absolute.
    let caPath: String?
    /// The secret keys.
    let keys: ProfileKeys
    /// What was put right while loading, in words to show once.
    let warnings: [String]

    private static let profileFile = "profile.json"
    private static let keysFile = "keys.json"

    /// Never the keys.
    var description: String { "\(name) at \(server)" }

    /// Signs logins.
    var signingKey: Curve25519.Signing.PrivateKey { keys.signing }
    /// What others compare to know that it is this profile.
    var fingerprint: Fingerprint? {
        SigningKey(bytes: keys.signing.publicKey.rawRepresentation).map(Fingerprint.init(of:))
    }

    /// Loads the profile in `directory`. Throws ``FileError``: `noProfile` when no user has logged in with it,
    /// `unusableProfile` when a file is damaged or belongs to another user.
    static func load(directory: String) throws -> Profile {
        guard var folder = try PrivateDirectory(path: directory, creating: false),
            let content = try folder.read(profileFile)
        else {
            throw FileError(
                code: .noProfile,
                message: "no user is logged in with the profile \"\(DisplayName.escape(directory))\": "
                    + "relay-client login URL --name NAME"
            )
        }
        let stored = try decode(content, directory)
        guard let name = PeerName(rawValue: stored.name) else { throw damaged(profileFile, directory) }
        guard let keys = try readKeys(&folder, directory) else {
            throw FileError(
                code: .unusableProfile,
                message: "\"\(DisplayName.escape(directory))\" has no \(keysFile): "
                    + "put the lost file back from a backup, or log in under another name with another profile"
            )
        }
        return Profile(
            directory: directory, name: name, server: stored.server, caPath: stored.ca, keys: keys,
            warnings: folder.warnings
        )
    }

    /// A profile to log in with: its keys are the folder's, made and stored now if it has none. Name, server and CA are
    /// stored by ``save()`` only. Two processes doing this at once get the same keys. Throws ``FileError``.
    static func create(directory: String, name: PeerName, server: String, caPath: String?) throws -> Profile {
        let fresh = ProfileKeys()
        let encoded = try fresh.encoded()
        return try locked(directory) { folder throws(FileError) in
            let existing = try readKeys(&folder, directory)
            if existing == nil { try folder.write(encoded, to: keysFile, replacing: false) }
            return Profile(
                directory: directory, name: name, server: server, caPath: caPath.map(absolute), keys: existing ?? fresh,
                warnings: folder.warnings
            )
        }
    }

    /// Stores name, server and CA durably. An existing profile is replaced; a damaged one is an error instead. Throws
    /// ``FileError``.
    func save() throws {
        let stored = Stored(v: 1, name: name.rawValue, server: server, ca: caPath)
        let content = try StrictJSON.data(of: stored, isIndented: true)
        try Self.locked(directory) { folder throws(FileError) in
            try folder.write(content, to: Self.profileFile, replacing: true)
        }
    }

    /// Runs `body` on the folder, which is made where it is missing, while no other process does the same.
    private static func locked<Value>(
        _ directory: String, _ body: (inout PrivateDirectory) throws(FileError) -> Value
    ) throws(FileError) -> Value {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            // A damaged profile has to be seen to before anything is promised to a relay, or written over it.
            if let content = try folder.read(profileFile) { _ = try decode(content, directory) }
            return try body(&folder)
        }
    }

    private struct Stored: Codable {
        var v: Int
        var name: String
        var server: String
        var ca: String?
    }

    private static func decode(_ content: Data, _ directory: String) throws(FileError) -> Stored {
        guard let stored = StrictJSON.decode(Stored.self, from: content), stored.v == 1 else {
            throw damaged(profileFile, directory)
        }
        return stored
    }

    private static func readKeys(_ folder: inout PrivateDirectory, _ directory: String) throws(FileError)
        -> ProfileKeys?
    {
        guard let content = try folder.read(keysFile) else { return nil }
        guard let keys = ProfileKeys(encoded: content) else { throw damaged(keysFile, directory) }
        return keys
    }

    private static func damaged(_ file: String, _ directory: String) -> FileError {
        FileError(
            code: .unusableProfile,
            message: "\"\(DisplayName.escape(directory + "/" + file))\" is damaged, or of another version of this "
                + "program: put it back from a backup, or move it away and log in again"
        )
    }

    private static func absolute(_ path: String) -> String {
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}

/// Where a profile is unless the user names another place.
enum ProfileLocation {
    /// `$XDG_CONFIG_HOME/relay`, or `~/.config/relay` (XDG Base Directory Specification, which has relative values
    /// ignored). Throws ``FileError`` when there is not even a home.
    static func directory(environment: [String: String]) throws -> String {
        if let config = environment["XDG_CONFIG_HOME"], config.hasPrefix("/") { return config + "/relay" }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw FileError(
                code: .noProfile, message: "HOME is not set: name the profile's folder with --profile or RELAY_PROFILE"
            )
        }
        return home + "/.config/relay"
    }
}
