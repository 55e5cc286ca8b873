// Owns what a ring of the kernel does for datagrams: multishot receives into buffers of their own, and the sends.
// Leaves to others: the memory and its form (DatagramBuffers), sockets that clients write to (DatagramSockets).

import CURing
import Glibc

extension LinuxRing: DatagramOperations {
    mutating func prepareReceiveFromClients(_ socket: Int32, tag: OperationTag) {
        datagrams.provide()
        let entry = nextSubmission()
        io_uring_prep_recvmsg(entry, socket, datagrams.receiveMessage, 0)
        selectDatagramBuffer(entry, tag)
    }

    mutating func prepareReceiveFromBackend(_ socket: Int32, tag: OperationTag) {
        datagrams.provide()
        let entry = nextSubmission()
        io_uring_prep_recvmsg(entry, socket, datagrams.receiveMessage, 0)
        selectDatagramBuffer(entry, tag)
    }

    @inline(__always)
    private func selectDatagramBuffer(_ entry: UnsafeMutablePointer<io_uring_sqe>, _ tag: OperationTag) {
        entry.pointee.ioprio = UInt16(truncatingIfNeeded: IORING_RECV_MULTISHOT)
        entry.pointee.flags |= SHUTTLE_SQE_BUFFER_SELECT
        shuttle_sqe_set_buffer_group(entry, DatagramBuffers.group)
        entry.pointee.user_data = tag.rawValue
    }

    func clientDatagram(in buffer: BufferID, count: Int32) -> ClientDatagram {
        datagrams.clientDatagram(in: buffer, count: Int(count))
    }

    func backendDatagram(in buffer: BufferID, count: Int32) -> DatagramBatch? {
        datagrams.backendDatagram(in: buffer, count: Int(count))
    }

    mutating func giveBackDatagram(_ buffer: BufferID) { datagrams.giveBack(buffer) }

    mutating func openDatagramSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?
    ) -> CallResult {
        let opened = Socket.openDatagram(family: address.pointee.family)
        guard case .success(let socket) = opened else { return opened }
        if let source, case .failure(let error) = Socket.bindSource(socket, source) {
            Socket.close(socket)
            return .failure(error)
        }
        if case .failure(let error) = Socket.connectDatagram(socket, address) {
            Socket.close(socket)
            return .failure(error)
        }
        return opened
    }

    mutating func sendToBackend(_ socket: Int32, _ batch: DatagramBatch) -> CallResult {
        if batch.count > 1 { return datagrams.send(socket, batch) }
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return Socket.result(
            of: Int32(truncatingIfNeeded: send(socket, batch.bytes.baseAddress, batch.bytes.count, flags)))
    }

    mutating func sendToBackend(
        _ socket: Int32, header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
    ) -> CallResult {
        datagrams.send(socket, header, payload)
    }

    mutating func sendToClient(
        _ socket: Int32, isIPv4: Bool, _ batch: DatagramBatch, along path: DatagramPath
    ) -> CallResult {
        datagrams.send(socket, isIPv4: isIPv4, batch, along: path)
    }
}
