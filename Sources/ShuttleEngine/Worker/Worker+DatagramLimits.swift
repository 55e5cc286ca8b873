// Owns what is asked of each datagram of a service with limits of bandwidth, and what a backend is told of whose it is.
// Leaves to others: the rates (Balancing/ServiceBandwidth), the header's form (Preread/ProxyHeader).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// Whether a datagram passes under the limits of bandwidth. Unlike bytes of a stream it cannot wait: what would hold
    /// back the sender in the kernel is a queue that drops what is too much as well, later.
    @inline(__always)
    mutating func isWithinBandwidth(_ batch: DatagramBatch, _ slot: UInt32, from side: Side) -> Bool {
        let service = datagrams[slot].pointee.service
        let isLimited =
            side == .downstream
            ? service.pointee.bandwidth.upload.isLimited : service.pointee.bandwidth.download.isLimited
        return !isLimited || pays(batch, slot, from: side)
    }

    @inline(never)
    private mutating func pays(_ batch: DatagramBatch, _ slot: UInt32, from side: Side) -> Bool {
        let session = datagrams[slot]
        let service = session.pointee.service
        let isAdmitted =
            side == .downstream
            ? service.pointee.bandwidth.upload.admitsDatagram(
                batch.bytes.count, paidAt: &session.pointee.uploadPaidAt, now: nowNanoseconds)
            : service.pointee.bandwidth.download.admitsDatagram(
                batch.bytes.count, paidAt: &session.pointee.downloadPaidAt, now: nowNanoseconds)
        if !isAdmitted { session.pointee.datagramCounters.pointee.limited.addAsOnlyWriter(UInt64(batch.count)) }
        return isAdmitted
    }

    // MARK: Whose it is

    /// Sends datagrams on; one behind a header of the PROXY protocol where the backend wants it: each has its own.
    @inline(__always)
    mutating func sendToBackend(_ batch: DatagramBatch, in slot: UInt32) -> CallResult {
        let session = datagrams[slot]
        guard session.pointee.backend.pointee.proxyProtocol != nil else {
            return ring.sendToBackend(session.pointee.upstream, batch)
        }
        return sendBehindHeaders(batch, in: slot)
    }

    /// The backend may want headers since a moment ago, when the batch was still to be sent as one.
    private mutating func sendBehindHeaders(_ batch: DatagramBatch, in slot: UInt32) -> CallResult {
        var sent = 0
        for index in 0..<batch.count {
            switch sendBehindHeader(batch[index].bytes, in: slot) {
            case .success: sent += batch[index].bytes.count
            case .failure(let error): return index == 0 ? .failure(error) : .success(Int32(truncatingIfNeeded: sent))
            }
        }
        return .success(Int32(truncatingIfNeeded: sent))
    }

    @inline(never)
    private mutating func sendBehindHeader(_ payload: UnsafeRawBufferPointer, in slot: UInt32) -> CallResult {
        let upstream = datagrams[slot].pointee.upstream
        let addresses = addresses(of: slot)
        return withUnsafeTemporaryAllocation(byteCount: ProxyHeader.writtenLengthMax, alignment: 8) { memory in
            let length = ProxyHeader.write(.v2, addresses, isOfDatagram: true, to: memory)
            let header = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<length])
            return ring.sendToBackend(upstream, header: header, payload)
        }
    }

    /// The client's address, and the one that it has written to.
    private func addresses(of slot: UInt32) -> ConveyedAddresses? {
        guard let local = datagrams.listener(datagrams.table.listener(of: slot))?.pointee.address else { return nil }
        let path = datagrams.table.path(of: slot)
        return ConveyedAddresses(
            source: .ipv6(high: path.clientHigh, low: path.clientLow, port: path.clientPort),
            destination: path.hasLocalAddress
                ? .ipv6(high: path.localHigh, low: path.localLow, port: local.port) : local)
    }
}
