// SPDX-License-Identifier: Apache-2.0

import TransferBroker

/// What is wrong with a certificate of the configuration, or soon will be.
struct CertificateProblem: Hashable, Sendable {
    /// What kind of problem it is.
    enum Kind: Hashable, Sendable {
        case expired
        case notYetValid
        case endsSoon
        /// It is not for the host of the public URL.
        case otherName
    }

    let kind: Kind
    /// The setting that names the file.
    let setting: Setting
    let path: String
    /// What to do about it, and where: one line.
    let sentence: String

    /// Whether the other side refuses the certificate now.
    var isFatal: Bool { kind == .expired || kind == .notYetValid }

    /// The problem of a certificate that is good from `begins` to `ends`; nil when there is none.
    init?(begins: Int64, ends: Int64, now: Int64, setting: Setting, path: String, place: String) {
        let (from, to) = (LogTime(seconds: Int(begins), milliseconds: 0), LogTime(seconds: Int(ends), milliseconds: 0))
        let warning = min(Defaults.Operations.certificateWarning, (ends - begins) / 3)
        if now > ends {
            kind = .expired
            sentence = "\(place) expired on \(to): get a new one; or the clock is wrong"
        } else if now < begins {
            kind = .notYetValid
            sentence = "\(place) is good from \(from) on: get another; or the clock is wrong"
        } else if ends - now < warning {
            kind = .endsSoon
            sentence = "\(place) is good until \(to) only: get a new one, and restart the relay with it"
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
        sentence = "\(path) is not for \(host), the host of the public URL: clients that are sent there refuse it"
    }
}
