// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// The text of a unit for `systemd --user` that keeps a command of this program running.
struct ServiceUnit: Hashable, Sendable {
    /// What it does, in a few words.
    var description: String
    /// What the file is called.
    var name: String
    /// The program and its arguments; the program, and all paths, absolute.
    var command: [String]
    /// The folder that it runs in: absolute.
    var directory: String
    /// What the person should know, a message each.
    var remarks: [String] = []

    /// Statuses that another try does not change: the command line, what is not allowed, the configuration.
    private static let final: [ExitStatus] = [.usage, .refused, .configuration]

    /// Throws, with a message, when something in it cannot be written into a unit.
    var text: String {
        get throws(Fault) {
            let parts = command + [directory, description]
            if let part = parts.first(where: {
                $0.unicodeScalars.contains { $0.properties.generalCategory == .control }
            }) {
                throw Fault(part: part)
            }
            let place = "~/.config/systemd/user/\(name).service"
            let comments =
                [
                    "\(description): keeps running for this user, also after the relay, the network or this program ended.",
                    "Install it:  relay-client service print >\(place)",
                    "             systemctl --user daemon-reload && systemctl --user enable --now \(name)",
                    "Look at it:  systemctl --user status \(name); journalctl --user -u \(name)",
                    "Without anyone logged in, it runs after:  loginctl enable-linger",
                ] + remarks
            return comments.map { "# \($0)\n" }.joined() + """

                [Unit]
                Description=\(Self.escaped(description))
                Documentation=man:relay-client(1)
                # There is no number of failures after which the relay does not come back.
                StartLimitIntervalSec=0

                [Service]
                Type=exec
                ExecStart=\(command.map(Self.quoted).joined(separator: " "))
                WorkingDirectory=\(Self.escaped(directory))
                Restart=on-failure
                RestartSec=5
                # Wrong arguments, nothing that may be accepted, no usable profile: another try changes none of these.
                RestartPreventExitStatus=\(Self.final.map { "\($0.rawValue)" }.joined(separator: " "))
                # How it ends when it is told to.
                SuccessExitStatus=130
                TimeoutStopSec=30
                NoNewPrivileges=yes
                LimitCORE=0
                LockPersonality=yes
                RestrictRealtime=yes
                RestrictSUIDSGID=yes
                SystemCallArchitectures=native
                RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK

                [Install]
                WantedBy=default.target

                """
        }
    }

    /// What cannot be written into a unit.
    struct Fault: Error, Hashable {
        let part: String
    }

    /// `text` so that systemd reads it as one argument, and nothing in it as anything else.
    static func quoted(_ text: String) -> String {
        var quoted = ""
        for character in text.unicodeScalars {
            switch character {
            case "\"", "\\": quoted += "\\\(character)"
            case "$": quoted += "$$"
            case "%": quoted += "%%"
            default: quoted.unicodeScalars.append(character)
            }
        }
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.properties.isAlphabetic || "/-_.,:=@+0123456789".unicodeScalars.contains($0)
        }
        return isPlain && !text.isEmpty ? quoted : "\"\(quoted)\""
    }

    /// `text` for a setting that is not split.
    private static func escaped(_ text: String) -> String {
        text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
    }
}
