// Owns the headers of the PROXY protocol that datagrams begin with: taking off those that clients' proxies have put before
// each, and putting one before each for a backend that wants to know whose it is.
// Leaves to others: the header's form (Preread/ProxyHeader), sessions and how datagrams go on (Worker+Datagrams).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    // MARK: Taking them off

    /// Sends each datagram on without its header, in a session of the client that the header tells of. One without a header
    /// is dropped: whoever could leave it out would choose its own address.
    @inline(never)
    mutating func relayBehindHeaders(
        _ datagram: ClientDatagram, at listener: DatagramListenerKey, to table: UnsafePointer<ServiceTable>
    ) {
        let batch = datagram.payload
        for index in 0..<batch.count {
            let bytes = batch[index].bytes
            guard let header = ProxyHeader.readDatagram(bytes) else {
                dropWithoutHeader(table)
                continue
            }
            let payload = DatagramBatch(bytes: UnsafeRawBufferPointer(rebasing: bytes[header.length...]))
            var path = datagram.path
            // `::` and 0.0.0.0 are nobody's: whoever has sent it is the client then, as with LOCAL.
            guard let addresses = header.addresses, !addresses.source.isWildcard else {
                relay(payload, along: path, at: listener, to: table)
                continue
            }
            path.convey(addresses.source)
            withUnsafePointer(to: addresses) {
                relay(payload, along: path, at: listener, to: table, conveyed: $0)
            }
        }
    }

    private func dropWithoutHeader(_ table: UnsafePointer<ServiceTable>) {
        let service = table.pointee.record
        service.pointee.counters.block(of: index).pointee.prereadFailures.addAsOnlyWriter(1)
        service.pointee.datagrams.block(of: index).pointee.dropped.addAsOnlyWriter(1)
    }

    // MARK: Putting them before

    /// Sends datagrams on; one behind a header of the PROXY protocol where the backend wants it: each has its own.
    @inline(__always)
    mutating func sendToBackend(
        _ batch: DatagramBatch, in slot: UInt32, _ conveyed: UnsafePointer<ConveyedAddresses>?
    ) -> CallResult {
        let session = datagrams[slot]
        guard session.pointee.backend.pointee.proxyProtocol != nil else {
            return ring.sendToBackend(session.pointee.upstream, batch)
        }
        return sendBehindHeaders(batch, in: slot, conveyed)
    }

    /// The backend may want headers since a moment ago, when the batch was still to be sent as one.
    private mutating func sendBehindHeaders(
        _ batch: DatagramBatch, in slot: UInt32, _ conveyed: UnsafePointer<ConveyedAddresses>?
    ) -> CallResult {
        var sent = 0
        for index in 0..<batch.count {
            switch sendBehindHeader(batch[index].bytes, in: slot, conveyed) {
            case .success: sent += batch[index].bytes.count
            case .failure(let error): return index == 0 ? .failure(error) : .success(Int32(truncatingIfNeeded: sent))
            }
        }
        return .success(Int32(truncatingIfNeeded: sent))
    }

    @inline(never)
    private mutating func sendBehindHeader(
        _ payload: UnsafeRawBufferPointer, in slot: UInt32, _ conveyed: UnsafePointer<ConveyedAddresses>?
    ) -> CallResult {
        let upstream = datagrams[slot].pointee.upstream
        let addresses = conveyed?.pointee ?? addresses(of: slot)
        return withUnsafeTemporaryAllocation(byteCount: ProxyHeader.writtenLengthMax, alignment: 8) { memory in
            let length = ProxyHeader.write(.v2, addresses, isOfDatagram: true, to: memory)
            let header = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<length])
            return ring.sendToBackend(upstream, header: header, payload)
        }
    }

    /// Whoever has sent to the session's listener, and the address that it has written to.
    private func addresses(of slot: UInt32) -> ConveyedAddresses? {
        guard let local = datagrams.listener(datagrams.table.listener(of: slot))?.pointee.address else { return nil }
        let path = datagrams.table.path(of: slot)
        return ConveyedAddresses(
            source: .ipv6(high: path.clientHigh, low: path.clientLow, port: path.clientPort),
            destination: path.hasLocalAddress
                ? .ipv6(high: path.localHigh, low: path.localLow, port: local.port) : local)
    }
}
