// Owns telling a backend where the client comes from, as the first thing on a connection that has just been made to it.
// Leaves to others: the header's form (Preread/ProxyHeader), what becomes of the connect (Worker+Connect).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// Tells a backend that wants to know where the client comes from, before anything else is sent to it; `false` when the
    /// session goes another way.
    @inline(__always)
    mutating func conveyAddresses(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) -> Bool {
        guard let version = slot.pointee.backend?.pointee.proxyProtocol else { return true }
        return sendProxyHeader(version, index, slot)
    }

    private mutating func sendProxyHeader(
        _ version: ProxyProtocolVersion, _ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>
    ) -> Bool {
        let client = slot.pointee.downstream
        var addresses = conveyedAddresses(of: index)
        // A unix socket has no address to tell of, nor would its process be one.
        if addresses == nil, !isUnix(.downstream, slot), let local = ring.localAddress(of: client) {
            guard let peer = ring.peerAddress(of: client) else {
                // It has reset its connection. A header without its address would pass it off as this proxy.
                slot.pointee.session.connectFailed()
                slot.pointee.backendCounters?.pointee.connections.addAsOnlyWriter(1)
                note(.clientReset, index)
                closeStart(index, resetDownstream: false, resetUpstream: true)
                return false
            }
            addresses = ConveyedAddresses(source: peer, destination: local)
        }
        let moreFollow = slot.pointee.session.flow(from: .downstream).owedBytes > 0
        // A connection that is new has room for all of it.
        let code: Int32? = withUnsafeTemporaryAllocation(byteCount: ProxyHeader.writtenLengthMax, alignment: 8) {
            memory in
            let length = ProxyHeader.write(version, addresses, to: memory)
            let header = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<length])
            switch ring.sendNow(slot.pointee.upstream, header, moreFollow: moreFollow) {
            case .success(let count): return Int(count) == length ? nil : ENOBUFS
            case .failure(let error): return error.code
            }
        }
        guard let code else { return true }
        slot.pointee.session.connectFailed()
        connectFailed(index, code: code)
        return false
    }
}
