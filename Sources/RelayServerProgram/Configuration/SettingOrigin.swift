// SPDX-License-Identifier: Apache-2.0

import ServerSystem

/// Where a setting's value comes from. The first one that has a value wins.
enum SettingOrigin: Hashable, Sendable {
    case flag
    case environment
    case file(String)
    /// The setting is not set: the program's own value.
    case builtIn

    /// How to name `setting` to the person who wrote it there.
    func name(of setting: Setting) -> String {
        switch self {
        case .flag, .builtIn: "--\(setting.rawValue)"
        case .environment: setting.variable
        case .file(let path): "\"\(setting.rawValue)\" in \(path)"
        }
    }

    /// What a wrong value there makes the process exit with.
    var status: ExitStatus {
        switch self {
        case .flag: .usage
        case .environment, .file, .builtIn: .configuration
        }
    }
}
