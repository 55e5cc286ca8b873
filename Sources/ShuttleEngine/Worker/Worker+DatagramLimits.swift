// Owns what is asked of each datagram of a service with limits of bandwidth.
// Leaves to others: the rates (Balancing/ServiceBandwidth).

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
}
