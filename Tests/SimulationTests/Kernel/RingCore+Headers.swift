// Owns the calls by which a worker tells a backend where its client comes from, and whether what it says is true: once for
// each connection, before any byte of the client, with the client's own addresses.

import Glibc

@testable import ShuttleEngine

extension RingCore {
    /// ENOTCONN once the peer has reset the connection, where the network's settings are so strict.
    func peerAddress(_ descriptor: Int32) -> SocketAddress? {
        guard let connection = network.connection(at: descriptor) else { return nil }
        return network.settings.forgetsThoseWhoReset && connection.hasPeerReset ? nil : connection.address
    }

    func localAddress(_ descriptor: Int32) -> SocketAddress? {
        if datagrams?.sockets[descriptor] != nil { return SimulatedDatagrams.address }
        return network.connection(at: descriptor).flatMap { $0.isUnix ? nil : .loopbackIPv4(port: $0.port) }
    }

    func sendNow(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, moreFollow: Bool) -> CallResult {
        guard let sink = network.connection(at: descriptor) else { return .failure(SystemCallError(code: EBADF)) }
        if sink.isClient || !sink.isEstablished || sink.accepted > 0 || sink.sendOperation != nil || sink.header != nil
        {
            network.violate(.misuse, "a header is sent to connection \(sink.key), which is not a fresh backend")
        }
        if network.random.chance(network.settings.headerFailures) {
            sink.peerResets()
            network.ledger.headerFailed(at: sink)
            return .failure(SystemCallError(code: sink.takePendingError()))
        }
        guard let client = sink.session?.client, !client.hasPeerReset || !network.settings.forgetsThoseWhoReset else {
            network.violate(.crossed, "a header is sent to connection \(sink.key), whose client is not known")
            return .failure(SystemCallError(code: EPIPE))
        }
        let outcome = ProxyHeader.read(bytes, limit: bytes.count)
        let own =
            client.isUnix
            ? nil : ConveyedAddresses(source: client.address, destination: .loopbackIPv4(port: client.port))
        let expected = client.conveyed ?? own
        if outcome != .complete(length: bytes.count, expected) {
            network.violate(.content, "connection \(sink.key) is told \(outcome) of connection \(client.key)")
        }
        sink.header = bytes.first == UInt8(ascii: "P") ? .v1 : .v2
        network.ledger.headerSent(to: sink)
        if moreFollow { corked = sink }
        return .success(Int32(bytes.count))
    }

    /// What is sent with the announcement of more stays with the kernel until more is sent.
    func checkCorked() {
        if let corked, !corked.isClosePrepared {
            network.violate(.stuck, "connection \(corked.key) was promised more than it got")
        }
        corked = nil
    }
}
