// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import TLSTransport
import TransferBroker

/// The certificates that the configuration names, as they were when they were read, at the start or by a reload: what a
/// running relay shows and trusts.
struct CertificateInventory: Hashable, Sendable {
    /// One file.
    private struct File: Hashable, Sendable {
        let setting: Setting
        let path: String
        let certificates: [CertificateFacts]
        /// Whether they are there to be trusted: one that is good is enough then.
        let areAuthorities: Bool
    }

    private let files: [File]
    private let publicHost: String?
    /// What is wrong with how those that clients are shown hang together.
    private let chain: CertificateProblem?

    /// - Throws: ``OperatorError`` for a file that cannot be read.
    init(_ configuration: ServerConfiguration) throws(OperatorError) {
        var files = [try Self.read(.tlsCert, configuration.certificate.chain)]
        if let cluster = configuration.cluster {
            files.append(try Self.read(.clusterCert, cluster.certificate.chain))
            files.append(try Self.read(.clusterCA, cluster.authority, areAuthorities: true))
            if let path = cluster.redisAuthority { files.append(try Self.read(.redisCA, path, areAuthorities: true)) }
        }
        self.files = files
        publicHost = configuration.publicHost
        // Those of a node are looked at as other nodes do, against their authority.
        chain = files.first.flatMap { CertificateProblem(chain: $0.certificates, path: $0.path) }
    }

    private static func read(
        _ setting: Setting, _ path: String, areAuthorities: Bool = false
    ) throws(OperatorError) -> File {
        do {
            let certificates = try CertificateFacts.read(path, areAuthorities: areAuthorities)
            return File(setting: setting, path: path, certificates: certificates, areAuthorities: areAuthorities)
        } catch {
            throw OperatorError(.configuration, "\(error)")
        }
    }

    /// The names that clients may know this relay by: those of the certificate it shows them.
    var names: [TLSServerName] { files.first?.certificates.first?.names ?? [] }

    /// The page that says what people need to trust this relay.
    func welcomePage(host: String?) -> WelcomePage {
        let chain = files.first?.certificates ?? []
        let named = names.lazy.compactMap { if case .dns(let name) = $0, !name.hasPrefix("*") { name } else { nil } }
        return WelcomePage(
            fingerprints: chain.map(\.fingerprint),
            authority: chain.count > 1 ? chain.last.flatMap { $0.isSelfIssued ? $0.pem : nil } : nil,
            name: host ?? named.first ?? "localhost"
        )
    }

    /// When the first of those that this relay shows ends, in seconds since 1970.
    var firstEnd: Int64 {
        files.filter { !$0.areAuthorities }.flatMap(\.certificates).map(\.ends).min() ?? 0
    }

    /// What is wrong at `now`, in seconds since 1970, the worst first.
    func problems(at now: Int64) -> [CertificateProblem] {
        var problems = files.flatMap { Self.problems(of: $0, at: now) }
        if let chain { problems.append(chain) }
        if let publicHost, !names.contains(where: { $0.covers(publicHost) }), let path = files.first?.path {
            problems.append(CertificateProblem(path: path, isNotFor: publicHost))
        }
        return problems.filter(\.isFatal) + problems.filter { !$0.isFatal }
    }

    private static func problems(of file: File, at now: Int64) -> [CertificateProblem] {
        let count = file.certificates.count
        let all = file.certificates.enumerated().map { index, facts in
            CertificateProblem(
                begins: facts.begins, ends: facts.ends, now: now, setting: file.setting, path: file.path,
                place: count == 1
                    ? "the certificate \(file.path)" : "certificate \(index + 1) of \(count) in \(file.path)"
            )
        }
        guard file.areAuthorities else { return all.compactMap(\.self) }
        // An old authority may stay in the file beside the one that took its place.
        if all.contains(nil) { return [] }
        let latest = file.certificates.indices.max { file.certificates[$0].ends < file.certificates[$1].ends }
        return latest.flatMap { all[$0] }.map { [$0] } ?? []
    }
}

/// What is wrong with a certificate of the configuration, or soon will be.
struct CertificateProblem: Hashable, Sendable {
    /// What kind of problem it is.
    enum Kind: Hashable, Sendable {
        case expired
        case notYetValid
        case endsSoon
        /// It is not for the host of the public URL.
        case otherName
        /// Behind it there is another than the one that issued it.
        case notIssued
        /// The one that issued it is not there, and clients do not have it.
        case alone
    }

    let kind: Kind
    /// The setting that names the file.
    let setting: Setting
    let path: String
    /// What to do about it, and where: one line.
    let message: String

    /// Whether the other side refuses the certificate now, or not all of them take it.
    var isFatal: Bool { kind == .expired || kind == .notYetValid || kind == .notIssued }

    /// The problem of a certificate that is good from `begins` to `ends`; nil when there is none.
    init?(begins: Int64, ends: Int64, now: Int64, setting: Setting, path: String, place: String) {
        let (from, to) = (LogTime(seconds: Int(begins), milliseconds: 0), LogTime(seconds: Int(ends), milliseconds: 0))
        let warning = min(Defaults.Operations.certificateWarning, (ends - begins) / 3)
        if now > ends {
            kind = .expired
            message = "\(place) expired on \(to): get a new one; or the clock is wrong"
        } else if now < begins {
            kind = .notYetValid
            message = "\(place) is good from \(from) on: get another; or the clock is wrong"
        } else if ends - now < warning {
            kind = .endsSoon
            message = "\(place) is good until \(to) only: get a new one, and run `relay-server reload`"
        } else {
            return nil
        }
        self.setting = setting
        self.path = path
    }

    /// The certificate at `path` is not for `host`, which clients are told to connect to.
    init(path: String, isNotFor host: String) {
        kind = .otherName
        setting = .tlsCert
        self.path = path
        message = "\(path) is not for \(host), the host of the public URL: clients that are sent there refuse it"
    }

    /// The certificates at `path`, which clients are shown, are no chain; nil where they are one, or it cannot be told.
    init?(chain certificates: [CertificateFacts], path: String) {
        guard certificates.count <= TLSDefaults.chainLength else { return nil }
        setting = .tlsCert
        self.path = path
        if let found = ChainBreak(certificates) {
            kind = .notIssued
            message = Self.message(of: found, in: certificates, path: path)
        } else if let only = certificates.first, certificates.count == 1, only.hasAuthorityAccess, !only.isSelfIssued {
            // An authority of one's own is one that clients were given; the public ones issue nothing with a key that
            // clients have.
            kind = .alone
            message = """
                the certificate \(path) stands alone, without the one of \(only.issuer) that issued it: clients that \
                do not have that refuse the relay; of an ACME client's files, use fullchain.pem
                """
        } else {
            return nil
        }
    }

    private static func message(of found: ChainBreak, in certificates: [CertificateFacts], path: String) -> String {
        let (before, count) = (certificates[found.place - 1], certificates.count)
        let which = "certificate \(found.place) of \(count) in \(path)"
        let other = certificates[found.place].subject
        let next = "certificate \(found.place + 1) (\(other == before.issuer ? "another " : "")\(other))"
        let order = "the server's certificate comes first, then its intermediates, each behind the one that it issued"
        guard !before.isSelfIssued else {
            return "\(which) has issued itself, and \(next) issued none before it: remove it; \(order)"
        }
        let what = "\(which) is issued by \(before.issuer), and not by \(next)"
        guard let issuer = found.issuer else { return "\(what): put the issuer's there; \(order)" }
        return "\(what), but by certificate \(issuer + 1): put that there; \(order)"
    }
}
