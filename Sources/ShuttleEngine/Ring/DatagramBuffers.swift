// Owns the memory that datagrams pass through on one ring: the buffers that the kernel fills, and the description of a
// send. Leaves to others: submitting (LinuxRing+Datagrams), whose datagrams they are (Worker).

import CURing
import Glibc

/// A group of buffers of its own: each holds the longest datagram there can be, where it came from, and which address it was
/// sent to. Reserved with the ring, touched only from the first UDP service on, and never by more than datagrams fill.
struct DatagramBuffers: ~Copyable {
    static let group: UInt16 = 1
    static let bufferCount = 512
    /// 17 pages: the headers and 65,535 bytes.
    static let bufferSize = 69_632
    /// The kernel writes a header, the sender's address, control messages and then the payload (io_uring_recvmsg_out).
    private static let headerBytes = 16
    static let nameBytes = 32
    static let controlBytes = 64
    private static let payloadOffset = headerBytes + nameBytes + controlBytes

    private let memory: ReservedMemory
    private let provided: UnsafeMutablePointer<io_uring_buf_ring>
    private let providedBytes: Int
    private var hasProvided = false
    /// What a receive says of the room for names and control messages; read when it is submitted.
    let receiveMessage: UnsafeMutablePointer<msghdr>
    private let sendMessage: UnsafeMutablePointer<msghdr>
    private let sendVector: UnsafeMutablePointer<iovec>
    private let sendName: UnsafeMutableRawPointer
    private let sendControl: UnsafeMutableRawPointer

    /// `nil` when there is no memory.
    init?() {
        let bytes = DatagramBuffers.bufferCount * MemoryLayout<io_uring_buf>.stride
        guard let memory = ReservedMemory(byteCount: DatagramBuffers.bufferCount * DatagramBuffers.bufferSize) else {
            return nil
        }
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return nil }
        self.memory = memory
        providedBytes = bytes
        provided = mapping.bindMemory(to: io_uring_buf_ring.self, capacity: 1)
        receiveMessage = .allocate(capacity: 1)
        receiveMessage.initialize(to: msghdr())
        receiveMessage.pointee.msg_namelen = UInt32(DatagramBuffers.nameBytes)
        receiveMessage.pointee.msg_controllen = DatagramBuffers.controlBytes
        sendMessage = .allocate(capacity: 1)
        sendMessage.initialize(to: msghdr())
        sendVector = .allocate(capacity: 1)
        sendVector.initialize(to: iovec())
        sendName = .allocate(byteCount: DatagramBuffers.nameBytes, alignment: 8)
        sendControl = .allocate(byteCount: DatagramBuffers.controlBytes, alignment: 8)
    }

    /// After the ring is gone.
    deinit {
        munmap(provided, providedBytes)
        receiveMessage.deallocate()
        sendMessage.deallocate()
        sendVector.deallocate()
        sendName.deallocate()
        sendControl.deallocate()
    }

    /// Makes the group known to a ring that is not running yet; fails for want of memory that may be locked.
    func register(with ring: UnsafeMutablePointer<io_uring>) -> Bool {
        var registration = io_uring_buf_reg()
        registration.ring_addr = UInt64(UInt(bitPattern: provided))
        registration.ring_entries = UInt32(DatagramBuffers.bufferCount)
        registration.bgid = DatagramBuffers.group
        guard io_uring_register_buf_ring(ring, &registration, 0) == 0 else { return false }
        io_uring_buf_ring_init(provided)
        return true
    }

    // MARK: Receives

    /// Hands every buffer to the kernel, once.
    @inline(__always)
    mutating func provide() {
        guard !hasProvided else { return }
        provideAll()
    }

    private mutating func provideAll() {
        hasProvided = true
        for buffer in 0..<DatagramBuffers.bufferCount { add(BufferID(buffer), at: Int32(buffer)) }
        io_uring_buf_ring_advance(provided, Int32(DatagramBuffers.bufferCount))
    }

    @inline(__always)
    mutating func giveBack(_ buffer: BufferID) {
        add(buffer, at: 0)
        io_uring_buf_ring_advance(provided, 1)
    }

    @inline(__always)
    private func add(_ buffer: BufferID, at offset: Int32) {
        io_uring_buf_ring_add(
            provided, address(of: buffer), UInt32(DatagramBuffers.bufferSize), buffer,
            io_uring_buf_ring_mask(UInt32(DatagramBuffers.bufferCount)), offset
        )
    }

    @inline(__always)
    func address(of buffer: BufferID) -> UnsafeMutableRawPointer {
        assert(Int(buffer) < DatagramBuffers.bufferCount)
        return memory.base + Int(buffer) &* DatagramBuffers.bufferSize
    }

    /// Reads what the kernel has written for a receive of `count` bytes, headers included.
    func clientDatagram(in buffer: BufferID, count: Int) -> ClientDatagram {
        let start = UnsafeRawPointer(address(of: buffer))
        var path = DatagramBuffers.sender(start + DatagramBuffers.headerBytes)
        let content = received(start, count) { level, type, data, length in
            DatagramBuffers.readLocalAddress(level, type, data, length, into: &path)
        }
        return ClientDatagram(path: path, payload: content.batch, isCut: content.isCut)
    }

    /// The same of a connected socket: who has sent it is known.
    func backendDatagram(in buffer: BufferID, count: Int) -> DatagramBatch? {
        let content = received(UnsafeRawPointer(address(of: buffer)), count) { _, _, _, _ in }
        return content.isCut ? nil : content.batch
    }

    @inline(__always)
    private func received(
        _ start: UnsafeRawPointer, _ count: Int,
        _ readControl: (_ level: Int32, _ type: Int32, _ data: UnsafeRawPointer, _ length: Int) -> Void
    ) -> (batch: DatagramBatch, isCut: Bool) {
        let controlLength = Int(start.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let payloadLength = Int(start.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let flags = start.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
        let length = count &- DatagramBuffers.payloadOffset
        var batch = DatagramBatch(
            bytes: UnsafeRawBufferPointer(start: start + DatagramBuffers.payloadOffset, count: max(0, length)))
        var control = start + DatagramBuffers.headerBytes + DatagramBuffers.nameBytes
        let end = control + min(controlLength, DatagramBuffers.controlBytes)
        while control + DatagramBuffers.controlHeaderBytes <= end {
            let bytes = control.loadUnaligned(as: Int.self)
            guard bytes >= DatagramBuffers.controlHeaderBytes, control + bytes <= end else { break }
            let level = control.loadUnaligned(fromByteOffset: 8, as: Int32.self)
            let type = control.loadUnaligned(fromByteOffset: 12, as: Int32.self)
            let data = control + DatagramBuffers.controlHeaderBytes
            if level == Socket.levelUDP, type == Socket.joinDatagrams {
                let datagramBytes = Int(data.loadUnaligned(as: Int32.self))
                if datagramBytes > 0, datagramBytes < batch.bytes.count { batch.datagramBytes = datagramBytes }
            } else {
                readControl(level, type, data, bytes &- DatagramBuffers.controlHeaderBytes)
            }
            // CMSG_NXTHDR: up to a multiple of 8.
            control += (bytes &+ 7) & ~7
        }
        return (batch, length < 0 || payloadLength != length || flags & Socket.messageWasCut != 0)
    }

    /// A `sockaddr_in` or `sockaddr_in6`.
    @inline(__always)
    private static func sender(_ name: UnsafeRawPointer) -> DatagramPath {
        let port = UInt16(bigEndian: name.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        if name.loadUnaligned(as: sa_family_t.self) == sa_family_t(AF_INET) {
            let host = UInt32(bigEndian: name.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            return DatagramPath(clientHigh: 0, clientLow: mapped | UInt64(host), clientPort: port, clientScope: 0)
        }
        return DatagramPath(
            clientHigh: UInt64(bigEndian: name.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            clientLow: UInt64(bigEndian: name.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
            clientPort: port,
            clientScope: name.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
        )
    }

    private static let mapped: UInt64 = 0xffff_0000_0000

    // A control message (cmsg(3)) has its length in 8 bytes, its level and its type in 4 each, then its data.
    private static let controlHeaderBytes = 16

    /// The address that the datagram was sent to: of IP_PKTINFO the one that answers leave from, ip(7), or that of
    /// IPV6_PKTINFO, which for IPv4 is mapped, ipv6(7).
    private static func readLocalAddress(
        _ level: Int32, _ type: Int32, _ data: UnsafeRawPointer, _ length: Int, into path: inout DatagramPath
    ) {
        if level == Socket.levelIPv4, type == Socket.packetInformation, length >= 12 {
            let host = UInt32(bigEndian: data.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            path.localLow = mapped | UInt64(host)
        } else if level == Socket.levelIPv6, type == Socket.packetInformation6, length >= 20 {
            path.localHigh = UInt64(bigEndian: data.loadUnaligned(as: UInt64.self))
            path.localLow = UInt64(bigEndian: data.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
    }

    // MARK: Sends

    /// Sends datagrams along a path, from the address that they were asked at.
    func send(_ socket: Int32, isIPv4: Bool, _ batch: DatagramBatch, along path: DatagramPath) -> CallResult {
        sendMessage.pointee.msg_name = sendName
        sendMessage.pointee.msg_namelen = writeName(path, isIPv4: isIPv4)
        return send(socket, batch, path.hasLocalAddress ? writeControl(path, isIPv4: isIPv4) : 0)
    }

    /// To where a socket is connected.
    func send(_ socket: Int32, _ batch: DatagramBatch) -> CallResult {
        sendMessage.pointee.msg_name = nil
        sendMessage.pointee.msg_namelen = 0
        return send(socket, batch, 0)
    }

    /// Behind `controlLength` bytes of control messages that were written.
    private func send(_ socket: Int32, _ batch: DatagramBatch, _ controlLength: Int) -> CallResult {
        guard batch.count > 1 else { return send(socket, batch.bytes, controlLength) }
        let control = sendControl + controlLength
        control.storeBytes(of: DatagramBuffers.controlHeaderBytes + 2, as: Int.self)
        control.storeBytes(of: Socket.levelUDP, toByteOffset: 8, as: Int32.self)
        control.storeBytes(of: Socket.splitDatagrams, toByteOffset: 12, as: Int32.self)
        let size = UInt16(truncatingIfNeeded: batch.datagramBytes)
        control.storeBytes(of: size, toByteOffset: DatagramBuffers.controlHeaderBytes, as: UInt16.self)
        let outcome = send(socket, batch.bytes, controlLength + DatagramBuffers.controlHeaderBytes + 8)
        guard case .failure(let error) = outcome, DatagramBuffers.isRefusalOfBatch(error.code) else { return outcome }
        return sendSingly(socket, batch, controlLength)
    }

    /// Where this way takes no batch: its packets are smaller, or its device has no checksums of its own, udp(7).
    private static func isRefusalOfBatch(_ code: Int32) -> Bool { code == EINVAL || code == EIO || code == EMSGSIZE }

    private func sendSingly(_ socket: Int32, _ batch: DatagramBatch, _ controlLength: Int) -> CallResult {
        var sent = 0
        for index in 0..<batch.count {
            let bytes = batch[index].bytes
            if case .failure(let error) = send(socket, bytes, controlLength) {
                return sent == 0 ? .failure(error) : .success(Int32(truncatingIfNeeded: sent))
            }
            sent += bytes.count
        }
        return .success(Int32(truncatingIfNeeded: sent))
    }

    private func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, _ controlLength: Int) -> CallResult {
        sendVector.pointee = iovec(
            iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        sendMessage.pointee.msg_iov = sendVector
        sendMessage.pointee.msg_iovlen = 1
        sendMessage.pointee.msg_control = controlLength > 0 ? sendControl : nil
        sendMessage.pointee.msg_controllen = controlLength
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return Socket.result(of: Int32(truncatingIfNeeded: sendmsg(socket, sendMessage, flags)))
    }

    /// Sends one datagram of two parts to where a socket is connected.
    func send(_ socket: Int32, _ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> CallResult {
        let parts = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: header.baseAddress), iov_len: header.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress), iov_len: payload.count)
        )
        return withUnsafeBytes(of: parts) { bytes in
            let vectors = UnsafeMutableRawPointer(mutating: bytes.baseAddress!).assumingMemoryBound(to: iovec.self)
            var message = msghdr()
            message.msg_iov = vectors
            message.msg_iovlen = 2
            let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
            return Socket.result(of: Int32(truncatingIfNeeded: sendmsg(socket, &message, flags)))
        }
    }

    private func writeName(_ path: DatagramPath, isIPv4: Bool) -> UInt32 {
        sendName.storeBytes(of: sa_family_t(isIPv4 ? AF_INET : AF_INET6), as: sa_family_t.self)
        sendName.storeBytes(of: path.clientPort.bigEndian, toByteOffset: 2, as: UInt16.self)
        guard !isIPv4 else {
            let host = UInt32(truncatingIfNeeded: path.clientLow)
            sendName.storeBytes(of: host.bigEndian, toByteOffset: 4, as: UInt32.self)
            sendName.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
            return UInt32(MemoryLayout<sockaddr_in>.size)
        }
        sendName.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        sendName.storeBytes(of: path.clientHigh.bigEndian, toByteOffset: 8, as: UInt64.self)
        sendName.storeBytes(of: path.clientLow.bigEndian, toByteOffset: 16, as: UInt64.self)
        sendName.storeBytes(of: path.clientScope, toByteOffset: 24, as: UInt32.self)
        return UInt32(MemoryLayout<sockaddr_in6>.size)
    }

    /// The interface is left to the routing table.
    private func writeControl(_ path: DatagramPath, isIPv4: Bool) -> Int {
        let data = sendControl + DatagramBuffers.controlHeaderBytes
        let dataLength = isIPv4 ? 12 : 20
        let length = DatagramBuffers.controlHeaderBytes + dataLength
        let level = isIPv4 ? Socket.levelIPv4 : Socket.levelIPv6
        sendControl.storeBytes(of: length, as: Int.self)
        sendControl.storeBytes(of: level, toByteOffset: 8, as: Int32.self)
        let type = isIPv4 ? Socket.packetInformation : Socket.packetInformation6
        sendControl.storeBytes(of: type, toByteOffset: 12, as: Int32.self)
        if isIPv4 {
            let host = UInt32(truncatingIfNeeded: path.localLow)
            data.storeBytes(of: 0, as: UInt32.self)
            data.storeBytes(of: host.bigEndian, toByteOffset: 4, as: UInt32.self)
            data.storeBytes(of: 0, toByteOffset: 8, as: UInt32.self)
        } else {
            data.storeBytes(of: path.localHigh.bigEndian, as: UInt64.self)
            data.storeBytes(of: path.localLow.bigEndian, toByteOffset: 8, as: UInt64.self)
            data.storeBytes(of: 0, toByteOffset: 16, as: UInt32.self)
        }
        // CMSG_SPACE: up to a multiple of 8.
        return (length + 7) & ~7
    }
}
