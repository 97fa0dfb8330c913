// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker

/// The certificate that `setup` gives the relay: a copy of an ACME client's, or one of an authority made for it.
struct ServerCertificate: Sendable {
    /// The folder of the configuration.
    let folder: String
    let account: ServiceAccount

    var files: CertificateFiles {
        CertificateFiles(chain: "\(folder)/server.pem", key: "\(folder)/server.key")
    }

    private var isThere: Bool { SystemCommand.exists(files.chain) || SystemCommand.exists(files.key) }

    /// Copies what was given, or makes one.
    /// - Returns: whether it wrote anything.
    func put(_ given: CertificateFiles?, for name: String, force: Bool) throws(OperatorError) -> Bool {
        if let given { return try copy(given, force: force) }
        return try make(for: name, force: force)
    }

    /// Copies the files of an ACME client, which the relay's user usually cannot read.
    /// - Returns: whether it did; it leaves what is there unless `force`.
    func copy(_ source: CertificateFiles, force: Bool) throws(OperatorError) -> Bool {
        // What does not fit together, or cannot be read, takes no other certificate's place.
        try source.check()
        guard force || !isThere else { return false }
        for (from, to) in [(source.key, files.key), (source.chain, files.chain)] {
            try account.write(try Self.read(from), to: to)
        }
        return true
    }

    /// Makes a certificate for `name`, and an authority if there is none in the folder.
    /// - Returns: whether it did; it leaves what is there unless `force`, and the authority in any case.
    func make(for name: String, force: Bool) throws(OperatorError) -> Bool {
        guard force || !isThere else { return false }
        guard let maker = SystemCommand.certificateMaker else {
            throw OperatorError(
                .cannotCreate, "make-certificates of the package is missing: give --tls-cert and --tls-key instead"
            )
        }
        // Made beside what is there, which stays until the new one is complete.
        let work = "\(folder)/new-certificate"
        try Self.remove(work)
        try account.makeFolder(work)
        defer { try? Self.remove(work) }
        // The relay itself never needs the authority's key.
        let authority: [(name: String, mode: mode_t)] = [("ca.pem", 0o640), ("ca.key", 0o600)]
        let hasAuthority = SystemCommand.exists("\(folder)/ca.pem")
        if hasAuthority {
            for (file, mode) in authority {
                try account.write(try Self.read("\(folder)/\(file)"), to: "\(work)/\(file)", mode: mode)
            }
        }
        guard let status = SystemCommand.run(["bash", maker, "--out", work, "--", name]) else {
            throw OperatorError(.cannotCreate, "cannot run \(maker): it needs bash and openssl")
        }
        guard status == 0 else {
            throw OperatorError(.cannotCreate, "\(maker) failed, and said why above; nothing was changed")
        }
        let chain = try Self.read("\(work)/server.pem") + Self.read("\(work)/ca.pem")
        if !hasAuthority {
            for (file, mode) in authority {
                try account.write(try Self.read("\(work)/\(file)"), to: "\(folder)/\(file)", mode: mode)
            }
        }
        try account.write(try Self.read("\(work)/server.key"), to: files.key)
        // With the authority behind it: the relay's page offers it, to who compares its fingerprint.
        try account.write(chain, to: files.chain)
        return true
    }

    private static func read(_ path: String) throws(OperatorError) -> String {
        do {
            return String(decoding: try BoundedFile.read(path, limit: 256 * 1024), as: UTF8.self)
        } catch {
            throw OperatorError(.configuration, "cannot read \(path): \(error)")
        }
    }

    private static func remove(_ folder: String) throws(OperatorError) {
        for file in ["ca.pem", "ca.key", "server.pem", "server.key"] { _ = unsafe unlink("\(folder)/\(file)") }
        guard unsafe rmdir(folder) == 0 || errno == ENOENT else {
            throw OperatorError(.cannotCreate, "cannot remove \(folder): \(SystemError.last)")
        }
    }
}
