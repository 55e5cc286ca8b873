// Owns what a worker may ask of its ring about datagrams: the seam where the simulation takes the kernel's place.

import Glibc

/// What one receive has brought, or what one send takes: a datagram, or several that stand one behind the other, all of
/// `datagramBytes` but the last, which may be shorter. The kernel joins those that come in a row from one end to another
/// (UDP_GRO) and takes them apart again (UDP_SEGMENT), udp(7), so that they cost as much as one.
struct DatagramBatch {
    /// Valid until the buffer is given back.
    var bytes: UnsafeRawBufferPointer
    /// 0 where there is one.
    var datagramBytes = 0

    @inline(__always)
    var count: Int { datagramBytes == 0 ? 1 : (bytes.count &+ datagramBytes &- 1) / datagramBytes }

    /// How many of them are the first `sent` bytes, of a send that has succeeded.
    @inline(__always)
    func count(ofBytes sent: Int) -> Int {
        datagramBytes == 0 ? 1 : (sent &+ datagramBytes &- 1) / datagramBytes
    }

    /// One by itself.
    subscript(_ index: Int) -> DatagramBatch {
        guard datagramBytes > 0 else { return self }
        let start = index * datagramBytes
        let end = min(start + datagramBytes, bytes.count)
        return DatagramBatch(bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    }
}

/// What a client has sent, in the buffer that it was received into.
struct ClientDatagram {
    var path: DatagramPath
    var payload: DatagramBatch
    /// It was longer than any datagram can be, or the kernel has cut it: it must not be sent on.
    var isCut: Bool
}

/// A ring's part in UDP. Receives are operations, which stay armed; sends are calls, which return at once: a datagram is
/// taken by the kernel or dropped, it never waits, so that no buffer is held beyond the completion that it came in.
protocol DatagramOperations: ~Copyable {
    /// Receives what clients send to a bound socket, with where each came from, until a failure, a cancellation or an empty
    /// datagram.
    mutating func prepareReceiveFromClients(_ socket: Int32, tag: OperationTag)
    /// The same of a connected socket.
    mutating func prepareReceiveFromBackend(_ socket: Int32, tag: OperationTag)
    /// What a completion of `prepareReceiveFromClients` brought.
    func clientDatagram(in buffer: BufferID, count: Int32) -> ClientDatagram
    /// What a completion of `prepareReceiveFromBackend` brought; nil where the kernel has cut it.
    func backendDatagram(in buffer: BufferID, count: Int32) -> DatagramBatch?
    /// The kernel may fill it again from the next submission on.
    mutating func giveBackDatagram(_ buffer: BufferID)

    /// A socket that exchanges datagrams with `address` only, from `source` (nil: the kernel chooses). Nothing is sent.
    mutating func openDatagramSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?
    ) -> CallResult
    /// Sends datagrams to a connected socket's address, and tells how many bytes of them, whole datagrams from the first on.
    /// ECONNREFUSED tells of an earlier one, and none of these is sent.
    mutating func sendToBackend(_ socket: Int32, _ batch: DatagramBatch) -> CallResult
    /// The same with one datagram, of a header and a payload that may be empty.
    mutating func sendToBackend(
        _ socket: Int32, header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
    ) -> CallResult
    /// Sends datagrams back along the path of one received from `socket`, an IPv4 one or not; as `sendToBackend`.
    mutating func sendToClient(
        _ socket: Int32, isIPv4: Bool, _ batch: DatagramBatch, along path: DatagramPath
    ) -> CallResult
}
