// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
package import TransferBroker
import WSProtocol

/// Whether this node's certificates are those of the cluster that its Redis belongs to.
extension ClusterNode {
    /// Another node of an authority that this one does not know, when all that could be asked are: this node was given the
    /// certificates of another cluster. Calls a few of those that are alive, and takes 2 s at most after Redis has
    /// answered.
    ///
    /// A node that cannot be reached, or an unexpected peer at its address, proves nothing: the address may have been
    /// given to another machine.
    package func strangerToAll() async -> NodeID? {
        let others = await routing.others().shuffled().prefix(Defaults.Link.firstCalls)
        return await withTaskGroup(of: (NodeID, isKnown: Bool?).self) { group in
            for (node, presence) in others {
                group.addTask { (node, await self.knowsAuthority(of: node, at: presence)) }
            }
            var stranger: NodeID?
            for await (node, isKnown) in group {
                switch isKnown {
                case true?:
                    group.cancelAll()
                    return nil
                case false?: stranger = node
                case nil: break
                }
            }
            return stranger
        }
    }

    /// Nil when there was no way to find out.
    private func knowsAuthority(of node: NodeID, at presence: NodePresence) async -> Bool? {
        let address = NodeAddress(
            host: presence.address.host, port: Int(presence.address.port), incarnation: presence.incarnation)
        do {
            let channel = try await dialer.connect(to: node, at: address, on: routing.loop, initializer: { _ in }).get()
            channel.close(promise: nil)
            return true
        } catch NodeDialError.otherAuthority {
            return false
        } catch {
            return nil
        }
    }
}
