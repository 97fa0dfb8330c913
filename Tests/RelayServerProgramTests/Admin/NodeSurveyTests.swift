// SPDX-License-Identifier: Apache-2.0

import RelayTestFixtures
import ServerSystem
import Testing
import TransferBroker
import WSProtocol

@testable import RelayServerProgram

@Suite("What the nodes of a cluster say to one question")
struct NodeSurveyTests {
    private let transfer = TransferID.random()
    private let refusal = OperatorError(.refused, "there is no such transfer")

    private func survey(isWhole: Bool = true, _ replies: [String: AdminReply]) -> NodeSurvey {
        var survey = NodeSurvey(isWhole: isWhole)
        for (node, reply) in replies { survey.note(.test(node), reply) }
        return survey
    }

    private func silent(_ node: String) -> AdminReply { .unanswered(node: .test(node), reason: "it is frozen") }

    @Test("who has done it decides, whatever the others say")
    func done() {
        let refused = AdminReply.failed(message: "no", exit: 77)
        let survey = survey(
            isWhole: false, ["n1": refused, "n2": .cancelled(transfer: transfer), "n3": silent("n3")])
        #expect(survey.outcome(elseRefusal: refusal) == .cancelled(transfer: transfer))
    }

    @Test("a refusal of all is one; a node that does not answer may have it")
    func refused() {
        let refused = AdminReply.failed(message: "no", exit: 77)
        #expect(survey(["n1": refused]).outcome(elseRefusal: refusal) == .failed(message: refusal.message, exit: 77))
        #expect(
            survey(["n1": refused, "n3": silent("n3"), "n2": silent("n2")]).outcome(elseRefusal: refusal)
                == .failed(
                    message: "there is no such transfer; node n2 does not answer (it is frozen): it may be there; "
                        + "node n3 does not answer (it is frozen): it may be there", exit: 69))
        #expect(survey(isWhole: false, [:]).gap("it may be there") != nil)
        #expect(survey([:]).gap("it may be there") == nil)
    }

    @Test("one that answers in other words counts as one that does not answer")
    func others() async {
        let nodes = OtherNodes(
            known: { ([.test("n2"), .test("n3"), .test("n4")], true) },
            send: { node, request in
                switch node.rawValue {
                case "n2": return try StrictJSON.encode(AdminReply.closed(session: request))
                case "n3": return #"{"later":{}}"#
                default: throw ClusterGone()
                }
            })
        let survey = await nodes.askAll(.close(session: "n2-7"))
        #expect(survey.replies == [.test("n2"): .closed(session: #"{"close":{"session":"n2-7"}}"#)])
        #expect(survey.silent == [.test("n3"): "it runs another version", .test("n4"): "gone"])
    }

    @Test("a list that is refused is one that is missing")
    func refusedList() async {
        let nodes = OtherNodes(
            known: { ([], true) },
            send: { _, _ in try StrictJSON.encode(AdminReply.failed(message: "it is not ready", exit: 69)) })
        let request = AdminRequest.sessions(after: 0)
        #expect(await nodes.list(.test("n2"), request) == .unanswered(node: .test("n2"), reason: "it is not ready"))
        #expect(await nodes.ask(.test("n2"), request) == .failed(message: "it is not ready", exit: 69))
    }

    private struct ClusterGone: Error, CustomStringConvertible {
        let description = "gone"
    }
}
