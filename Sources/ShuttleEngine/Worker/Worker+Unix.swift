// Owns what is different with unix sockets: which sessions have one, and waiting for a place in a full listen queue.
// Leaves to others: connecting (Worker+Connect), what the kernel is asked about them (Worker+Timers).

import Glibc

extension Worker where Ring: ~Copyable {
    /// Whether a side is a unix socket, of which nothing may be asked or set that belongs to TCP.
    @inline(__always)
    func isUnix(_ side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) -> Bool {
        if side == .downstream { return slot.pointee.timeouts.hasUnixClient }
        return slot.pointee.backend?.pointee.address.pointee.isUnix ?? false
    }

    /// Longest time between two tries.
    private static var listenQueuePauseMilliseconds: UInt64 { 100 }

    /// Nobody is kept waiting by the kernel for a place in the listen queue of a unix socket, as they are with TCP: the
    /// session asks again until its time to connect is over, the more seldom the longer it has waited.
    mutating func awaitListenQueue(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        let deadline = slot.pointee.connectDeadline
        let begin = deadline &- min(deadline, UInt64(slot.pointee.timeouts.connectMilliseconds))
        let waited = now &- min(now, begin)
        let pause = min(Self.listenQueuePauseMilliseconds, max(1, waited / 4))
        timers.set(index, deadline: min(deadline, now &+ pause))
    }

    /// The time has come to ask again, or to give up.
    mutating func connectAgain(_ index: UInt32) {
        let slot = sessions[index]
        guard let backend = slot.pointee.backend else { return }
        let address = backend.pointee.address
        if now >= slot.pointee.connectDeadline {
            connectFailed(index, code: ETIMEDOUT)
        } else {
            switch ring.openSocket(for: address, from: nil, withData: false) {
            case .success(let socket): submitConnect(index, slot, socket, to: address)
            case .failure(SystemCallError(code: EAGAIN)): awaitListenQueue(index, slot)
            case .failure(let error): connectFailed(index, code: error.code)
            }
        }
        touch(index)
    }
}
