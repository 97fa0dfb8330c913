// SPDX-License-Identifier: Apache-2.0

import NIOCore
import StreamRelay

/// The page that a relay without `--site` shows: what it is, how to use it, and what its certificate looks like to who
/// compares it. No script, no picture, nothing from elsewhere.
package struct WelcomePage: Hashable, Sendable {
    /// The SHA-256 of the certificate, and of those behind it in the file, as `openssl x509 -fingerprint` prints it.
    package var fingerprints: [String]
    /// The relay's own authority as PEM, where the certificate's file has it: what clients trust, after comparing.
    package var authority: String?
    /// How the relay is called where a request does not say it.
    package var name: String

    package init(fingerprints: [String], authority: String?, name: String) {
        (self.fingerprints, self.authority) = (fingerprints, authority)
        // A Host field has nothing in it that means something in HTML; a certificate's name may.
        self.name = name.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    }

    /// The answer to `head`; nil when it asks for something else.
    func answer(to head: RequestHead) -> ByteBuffer? {
        let withBody = head.method != "HEAD"
        switch head.path {
        case "/":
            return ResponseHead.complete(
                .ok, type: "text/html; charset=utf-8", body: html(host: head.host ?? name), fields: Self.fields,
                withBody: withBody
            )
        case "/relay.css":
            return ResponseHead.complete(
                .ok, type: "text/css; charset=utf-8", body: Self.style, fields: Self.fields, withBody: withBody
            )
        case "/ca.pem":
            return authority.map {
                ResponseHead.complete(
                    .ok, type: "application/x-pem-file", body: $0, fields: Self.fields, withBody: withBody
                )
            }
        default: return nil
        }
    }

    static let fields: [RequestHead.Field] = [
        .init(
            name: "Content-Security-Policy",
            value: "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        .init(name: "X-Content-Type-Options", value: "nosniff"),
        .init(name: "Referrer-Policy", value: "no-referrer"),
        .init(name: "Cross-Origin-Resource-Policy", value: "same-origin"),
    ]

    /// - Parameter host: a Host field, which has no character that means something in HTML.
    private func html(host: String) -> String {
        let prints = fingerprints.map { "<li><code>\($0)</code></li>" }.joined(separator: "\n")
        let login = "relay-client login https://\(host) --name alice"
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>A relay for files</title>
            <link rel="stylesheet" href="/relay.css">
            </head>
            <body>
            <main>
            <h1>A relay for files</h1>
            <p>This machine passes files and folders from one person to another when neither can reach the other directly.
            Everything is sealed on the sender's machine for the receiver's: the relay sees neither names nor contents, and
            it stores nothing.</p>
            <h2>Using it</h2>
            <p>Install the package <code>relay-client</code> (Debian 12 and 13), or put the program of the archive on your
            PATH. You need an invitation from who runs this relay.</p>
            <pre><code>sudo apt install ./relay-client_*.deb
            \(authority == nil ? login : login + " --ca ca.pem")
            relay-client send bob report.pdf
            relay-client receive</code></pre>
            \(trust(host))
            <h2>Fingerprint</h2>
            <p>SHA-256 of the certificate that this relay shows\(fingerprints.count > 1 ? ", and of those that vouch for it" : "").
            Compare it, over another way than this page, with what you were told.</p>
            <ul>
            \(prints)
            </ul>
            </main>
            </body>
            </html>

            """
    }

    private func trust(_ host: String) -> String {
        guard authority != nil, let print = fingerprints.last else { return "" }
        return """
            <p>The relay has an authority of its own, <a href="/ca.pem">ca.pem</a>. Take it only if its fingerprint is the
            one that came with your invitation:</p>
            <pre><code>curl --insecure --output ca.pem https://\(host)/ca.pem
            openssl x509 -in ca.pem -noout -fingerprint -sha256
            \(print)</code></pre>
            """
    }

    private static let style = """
        :root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif; }
        body { margin: 0; }
        main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
        h1 { font-size: 1.8rem; line-height: 1.2; }
        h2 { font-size: 1.2rem; margin-top: 2.5rem; }
        pre { padding: 0.8rem 1rem; overflow-x: auto; border: 1px solid #8886; border-radius: 0.4rem; }
        code { font: 0.9em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
        ul { padding-left: 1.2rem; }

        """
}
