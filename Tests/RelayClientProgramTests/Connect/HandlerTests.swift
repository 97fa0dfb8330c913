// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// The small handlers that wait for one thing.
@Suite struct HandlerTests {
    private let loop = EmbeddedEventLoop()

    private func channel(_ handler: some ChannelHandler) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    private func answer(_ status: HTTPResponseStatus, _ body: String, on channel: EmbeddedChannel) throws {
        try channel.writeInbound(HTTPClientResponsePart.head(.init(version: .http1_1, status: status)))
        try channel.writeInbound(HTTPClientResponsePart.body(ByteBuffer(string: body)))
    }

    // MARK: - One whole answer

    @Test func anAnswerIsReadForItsCode() throws {
        let promise = loop.makePromise(of: HTTPResponse.self)
        let channel = try channel(HTTPResponseHandler(promise: promise))
        try answer(.serviceUnavailable, #"{"code":"draining","message":"x"}"#, on: channel)
        #expect(promise.futureResult.outcome == nil)
        try channel.writeInbound(HTTPClientResponsePart.end(nil))
        #expect(try promise.futureResult.outcome?.get() == HTTPResponse(status: 503, code: .draining))
    }

    @Test func anAnswerThatIsCutHasSaidItsStatus() throws {
        let promise = loop.makePromise(of: HTTPResponse.self)
        let channel = try channel(HTTPResponseHandler(promise: promise))
        try answer(.forbidden, #"{"code":"#, on: channel)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(try promise.futureResult.outcome?.get() == HTTPResponse(status: 403))
    }

    @Test func noAnswerIsAnError() throws {
        let promise = loop.makePromise(of: HTTPResponse.self)
        _ = try channel(HTTPResponseHandler(promise: promise)).finish(acceptAlreadyClosed: true)
        #expect(throws: ChannelError.eof) { try promise.futureResult.outcome?.get() }
    }

    @Test func aPageWithoutEndIsNotKept() throws {
        let promise = loop.makePromise(of: HTTPResponse.self)
        let channel = try channel(HTTPResponseHandler(promise: promise))
        try answer(.badGateway, String(repeating: "x", count: 10 * Defaults.longestAnswer), on: channel)
        try channel.writeInbound(HTTPClientResponsePart.end(nil))
        #expect(try promise.futureResult.outcome?.get() == HTTPResponse(status: 502))
        var kept = ByteBuffer()
        var part = ByteBuffer(repeating: 0, count: Defaults.longestAnswer + 5)
        kept.appendAnswer(&part)
        kept.appendAnswer(&part)
        #expect(kept.readableBytes == Defaults.longestAnswer)
    }

    // MARK: - A proxy

    @Test(arguments: [HTTPResponseStatus.proxyAuthenticationRequired, .forbidden, .badGateway])
    func aProxyThatOpensNoTunnelIsHeard(_ status: HTTPResponseStatus) throws {
        let promise = loop.makePromise(of: Void.self)
        let channel = try channel(ProxyAnswerHandler(promise: promise))
        try answer(status, "no", on: channel)
        #expect(throws: ProxyAnswerHandler.Refusal(status: Int(status.code))) {
            try promise.futureResult.outcome?.get()
        }
        #expect(try channel.readInbound(as: HTTPClientResponsePart.self) == nil)
    }

    @Test func aProxyThatOpensOneIsPassedOn() throws {
        let promise = loop.makePromise(of: Void.self)
        let channel = try channel(ProxyAnswerHandler(promise: promise))
        try channel.writeInbound(HTTPClientResponsePart.head(.init(version: .http1_1, status: .ok)))
        try channel.writeInbound(HTTPClientResponsePart.end(nil))
        #expect(try channel.readInbound(as: HTTPClientResponsePart.self) != nil)
        #expect(promise.futureResult.outcome == nil)
        promise.succeed()
    }

    @Test func aProxysRefusalSaysWhatToDo() throws {
        let proxy = try Proxy("http://proxy.example.com:3128", variable: "HTTPS_PROXY")
        let relay = Endpoint(host: "relay.example.com", port: 443)
        func error(_ status: Int) -> ConnectionError {
            ConnectionError(tunnelling: ProxyAnswerHandler.Refusal(status: status), through: proxy, to: relay)
        }
        #expect(error(407).status == .refused && error(407).advice.contains("HTTPS_PROXY"))
        #expect(error(403).status == .refused && !error(403).isTemporary)
        #expect(error(502).status == .unreachable && error(502).isTemporary)
        let silent = ConnectionError(tunnelling: ChannelError.eof, through: proxy, to: relay)
        #expect(silent.step == .proxy && silent.isTemporary)
        // The proxy's own credentials are never said.
        let secret = try Proxy("http://user:word@proxy.example.com", variable: "HTTPS_PROXY")
        #expect(!"\(secret)".contains("word"))
    }

    // MARK: - What is said about a connection

    @Test func everyErrorIsOneLineWithAdvice() throws {
        let (relay, endpoint) = (
            try RelayURL("https://relay.example.com"), Endpoint(host: "relay.example.com", port: 443)
        )
        let errors = [
            ConnectionError(connecting: ChannelError.eof, to: endpoint, isProxy: false),
            ConnectionError(connecting: ChannelError.connectTimeout(.seconds(1)), to: endpoint, isProxy: true),
            ConnectionError(handshaking: ChannelError.eof, with: endpoint),
            ConnectionError(upgrading: ChannelError.eof, relay: relay),
            ConnectionError(upgrading: HTTPParserError.invalidConstant, relay: relay),
            ConnectionError(upgradeUnanswered: relay), ConnectionError(loginUnanswered: relay),
            ConnectionError(upgradeRefused: HTTPResponse(status: 401), relay: relay),
            ConnectionError(upgradeRefused: HTTPResponse(status: 404), relay: relay),
            ConnectionError(url: "\"x\" is not a URL"),
        ]
        for error in errors {
            #expect(!error.summary.isEmpty && !error.advice.isEmpty && !error.description.contains("\n"))
            #expect(error.description == "\(error.summary); \(error.advice)")
        }
    }

    @Test func aSessionThatEndsDuringTheLoginIsALoginThatFailed() throws {
        let relay = try RelayURL("https://relay.example.com")
        let lost = ConnectionError(closed: nil, reason: .lost, relay: relay)
        #expect(lost.step == .session && lost.duringLogin.step == .login)
        #expect(lost.duringLogin.summary == lost.summary && lost.duringLogin.isTemporary)
        let refused = ConnectionError(loginUnanswered: relay)
        #expect(refused.duringLogin == refused)
    }
}
