// Owns accepting: where the kernel writes whom it has accepted. Leaves to others: when (Worker+Accept).

import CURing
import Glibc

/// Memory for the address of whoever is accepted next, by the listener's place. It stays where it is: the kernel writes into
/// it while an accept is armed, and a place has one accept at a time.
struct AcceptedAddresses {
    /// More than a configuration and the one before it can have; pages are touched as places come into use.
    static let placesMax = 1 << 16

    /// Family, port and address of IPv4 and IPv6 take 28 bytes; the last four take the length.
    private let places: UnsafeMutablePointer<RawAddress>

    private static let lengthOffset = MemoryLayout<sockaddr_in6>.size

    init() { places = .allocate(capacity: AcceptedAddresses.placesMax) }

    func deallocate() { places.deallocate() }

    /// Ready for one accept; nil for a place that has none.
    @inline(__always)
    func prepare(_ place: UInt32) -> (address: UnsafeMutablePointer<sockaddr>, length: UnsafeMutablePointer<socklen_t>)?
    {
        guard place < UInt32(AcceptedAddresses.placesMax) else { return nil }
        let memory = UnsafeMutableRawPointer(places + Int(place))
        let length = (memory + AcceptedAddresses.lengthOffset).assumingMemoryBound(to: socklen_t.self)
        length.pointee = socklen_t(AcceptedAddresses.lengthOffset)
        return (memory.assumingMemoryBound(to: sockaddr.self), length)
    }

    @inline(__always)
    func address(at place: UInt32) -> RawAddress {
        guard place < UInt32(AcceptedAddresses.placesMax) else { return RawAddress() }
        return places[Int(place)]
    }
}

extension LinuxRing {
    @inline(__always)
    mutating func prepareAccept(on listener: Int32, tag: OperationTag) {
        let entry = nextSubmission()
        let place = accepted.prepare(tag.slot)
        io_uring_prep_accept(entry, listener, place?.address, place?.length, Int32(SOCK_CLOEXEC.rawValue))
        entry.pointee.user_data = tag.rawValue
    }

    @inline(__always) var hasOverflowed: Bool { ring.pointee.sq.kflags.pointee & IORING_SQ_CQ_OVERFLOW != 0 }

    @inline(__always)
    func acceptedAddress(_ socket: Int32, by tag: OperationTag) -> RawAddress { accepted.address(at: tag.slot) }
}
