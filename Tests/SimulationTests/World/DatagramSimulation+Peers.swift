// Owns the clients of a run of UDP, what goes before their datagrams where a proxy sends for them, the backends, and what
// must hold of each datagram that comes to either. Leaves to others: the order of events (DatagramSimulation).

@testable import ShuttleEngine

extension DatagramSimulation {
    /// What headers say that clients have written to.
    private static let asked = SocketAddress.ipv4(0xcb00_7107, port: 443)

    /// Several behind one sender have an address in common, or a port; none is a sender's.
    func conveyed(_ number: Int) -> SocketAddress? {
        let place = number % plan.clientsPerSender
        if place == 0, plan.clientsPerSender > 1 { return nil }
        return .ipv4(0xc633_6400 + UInt32(place / 2), port: UInt16(7000 + place % 2))
    }

    // MARK: Clients

    func clientSends() -> Bool {
        guard sent < plan.datagrams, listenerState == .open else { return false }
        let index = random.below(clients.count)
        let number = clients[index].sent
        clients[index].sent += 1
        sent += 1
        let bytes: [UInt8] =
            random.chance(plan.empty)
            ? []
            : [UInt8(index), UInt8(number >> 8), UInt8(number & 255)]
                + Array(repeating: 7, count: random.chance(60) ? 60 : random.below(200))
        listeners[clients[index].ring].queue.append((clients[index].path, withHeader(bytes, of: clients[index])))
        network.noteProgress()
        return true
    }

    private func withHeader(_ bytes: [UInt8], of client: Client) -> [UInt8] {
        guard configuration.proxyProtocolAccept else { return bytes }
        if random.chance(plan.badHeaders) {
            badSent += 1
            let header = header(of: client)
            return random.pick([
                bytes, Array("PROXY UNKNOWN\r\n".utf8) + bytes, Array(header.dropLast()), Array(header.prefix(13)),
                Array(header.prefix(11)) + [0] + header.dropFirst(12) + bytes,
                (0..<random.below(60)).map { _ in UInt8(random.below(256)) },
            ])
        }
        return header(of: client) + bytes
    }

    /// Of version 2, made by hand; some carry what is to be skipped.
    private func header(of client: Client) -> [UInt8] {
        func bytes(_ address: SocketAddress) -> [UInt8] {
            let host = UInt32(truncatingIfNeeded: address.hostWords.low)
            return (0..<4).map { UInt8(truncatingIfNeeded: host >> (24 - 8 * UInt32($0))) }
        }
        func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255)] }
        let extras: [UInt8] = random.chance(20) ? [4, 0, 3, 1, 2, 3] : []
        var content = extras
        if let source = client.conveyed {
            let destination = DatagramSimulation.asked
            content = bytes(source) + bytes(destination) + bytes(source.port) + bytes(destination.port) + extras
        }
        // How the client speaks to its proxy does not matter.
        let family: UInt8 = client.conveyed == nil ? 0 : random.pick([0x12, 0x11])
        return Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [client.conveyed == nil ? 0x20 : 0x21, family]
            + bytes(UInt16(content.count)) + content
    }

    func clientReceives(_ path: DatagramPath, _ bytes: [UInt8], _ socket: SimulatedDatagramSocket) {
        deliveredToClients += 1
        bytesToClients += bytes.count
        if isBehindHeader(bytes) { return }
        guard let index = bytes.first.map({ Int($0) }) ?? clients.firstIndex(where: { isSender(of: $0, path) }),
            clients.indices.contains(index)
        else {
            return network.violate(.crossed, "an answer went to nobody")
        }
        clients[index].answersTaken += 1
        if socket !== listeners[clients[index].ring] {
            network.violate(.crossed, "an answer to client \(index) left from another ring's socket")
        }
        if !isSender(of: clients[index], path) {
            network.violate(.crossed, "somebody else was told what client \(index) has asked for")
        }
        guard !bytes.isEmpty, path.hasConveyed else { return }
        if clients[index].conveyed.map({ $0.hostWords != path.client || $0.port != path.conveyedPort }) ?? true {
            network.violate(.crossed, "the session of \(path) was told what client \(index) has asked for")
        }
    }

    /// Answers go to where datagrams came from, whatever their headers say.
    private func isSender(of client: Client, _ path: DatagramPath) -> Bool {
        client.path
            == DatagramPath(
                clientHigh: path.clientHigh, clientLow: path.clientLow, clientPort: path.clientPort,
                clientScope: path.clientScope, localHigh: path.localHigh, localLow: path.localLow)
    }

    // MARK: Backends

    func backendReceives(_ socket: SimulatedDatagramSocket, _ header: [UInt8], _ bytes: [UInt8]) {
        deliveredToBackends += 1
        byPort[socket.backendPort, default: 0] += 1
        if isSettled, !ports.contains(socket.backendPort) {
            network.violate(.balance, "a datagram went to port \(socket.backendPort), which is not configured")
        }
        bytesToBackends += bytes.count
        if !header.isEmpty { headersSeen += 1 }
        check(header, bytes)
        if isBehindHeader(bytes) {
            headersPassedOn += 1
        } else if !bytes.isEmpty {
            check(bytes, from: socket)
        }
        if plan.refusingPorts.contains(socket.backendPort) || random.chance(plan.refusals) {
            socket.pendingError = 111  // ECONNREFUSED
            return
        }
        for _ in 0..<random.within(plan.answers) {
            answers.append((socket.descriptor, random.chance(plan.empty) ? [] : bytes))
        }
    }

    /// It was sent behind a header and read when no more headers were taken: what it begins with is nobody's concern then.
    private func isBehindHeader(_ bytes: [UInt8]) -> Bool {
        guard bytes.starts(with: "\r\n\r\n\0\r\nQUIT\n".utf8) else { return false }
        if !plan.mayPassHeaders { network.violate(.content, "a header was passed on") }
        return true
    }

    /// Each datagram has a header of its own where the service says so, and none where it does not.
    private func check(_ header: [UInt8], _ bytes: [UInt8]) {
        guard isSettled else { return }
        guard configuration.proxyProtocolSend != nil else {
            if !header.isEmpty { network.violate(.content, "a header that nobody asked for") }
            return
        }
        // Signature, version and command, datagrams over IPv4, length; then both addresses and both ports.
        let isWhole = header.count == 28 && header[12] == 0x21 && header[13] == 0x12 && header[15] == 12
        guard isWhole else { return network.violate(.content, "a header of \(header)") }
        guard !isBehindHeader(bytes), let client = bytes.first.map({ clients[Int($0)] }) else { return }
        func number(_ range: Range<Int>) -> UInt64 { header[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let told = [number(16..<20), number(20..<24), number(24..<26), number(26..<28)]
        var expected = [
            client.path.clientLow & 0xffff_ffff, client.path.localLow & 0xffff_ffff, UInt64(client.path.clientPort), 53,
        ]
        if configuration.proxyProtocolAccept, let source = client.conveyed {
            let asked = DatagramSimulation.asked
            expected = [
                source.hostWords.low & 0xffff_ffff, asked.hostWords.low & 0xffff_ffff, UInt64(source.port),
                UInt64(asked.port),
            ]
        }
        if told != expected { network.violate(.content, "a header tells of \(told), not of \(client)") }
    }

    /// One client a socket, each of its datagrams once and in order.
    private func check(_ bytes: [UInt8], from socket: SimulatedDatagramSocket) {
        let client = Int(bytes[0])
        guard clients.indices.contains(client), bytes.count >= 3 else {
            return network.violate(.content, "a datagram that nobody has sent: \(bytes)")
        }
        let number = Int(bytes[1]) << 8 | Int(bytes[2])
        if owners[socket.descriptor] == nil { clients[client].sockets.append(socket.descriptor) }
        if owners[socket.descriptor, default: client] != client {
            network.violate(.crossed, "socket \(socket.descriptor) has datagrams of two clients")
        }
        owners[socket.descriptor] = client
        if number <= lastNumbers[socket.descriptor, default: -1] {
            network.violate(.content, "datagram \(number) of client \(client) came twice, or out of order")
        }
        lastNumbers[socket.descriptor] = number
    }

    func backendAnswers() -> Bool {
        guard !answers.isEmpty else { return false }
        let (descriptor, bytes) = answers.remove(at: random.below(answers.count))
        // Its session may be over: the host refuses it.
        let nowhere = DatagramPath(clientHigh: 0, clientLow: 0, clientPort: 0, clientScope: 0)
        datagrams.sockets[descriptor]?.queue.append((nowhere, bytes))
        network.noteProgress()
        return true
    }
}
