// Owns the operations of a ring that move bytes inside the kernel: readiness, pipes, splice(2).

import CURing
import Glibc

extension LinuxRing {
    @inline(__always)
    mutating func prepareReadiness(_ readiness: Readiness, of socket: Int32, tag: OperationTag) {
        let entry = nextSubmission()
        let mask = readiness == .readable ? POLLIN : POLLOUT
        io_uring_prep_poll_add(entry, socket, UInt32(truncatingIfNeeded: mask))
        entry.pointee.user_data = tag.rawValue
    }

    @inline(__always)
    mutating func takePipe() -> PipeID? { pipes.take() }

    @inline(__always)
    mutating func giveBackPipe(_ pipe: PipeID, isEmpty: Bool) { pipes.giveBack(pipe, isEmpty: isEmpty) }

    @inline(__always)
    mutating func spliceIn(from socket: Int32, to pipe: PipeID) -> CallResult {
        // The pipe bounds what is moved.
        Socket.result(of: Int32(truncatingIfNeeded: shuttle_splice_in(socket, pipes.writeEnd(pipe), 1 << 30)))
    }

    @inline(__always)
    mutating func spliceOut(from pipe: PipeID, to socket: Int32, count: Int) -> CallResult {
        if nonBlockingSocket != socket {
            restoreBlocking()
            shuttle_set_blocking(socket, false)
            nonBlockingSocket = socket
        }
        return Socket.result(of: Int32(truncatingIfNeeded: shuttle_splice_out(pipes.readEnd(pipe), socket, count)))
    }

    @inline(__always)
    func readableBytes(_ socket: Int32) -> Int { Int(shuttle_readable_bytes(socket)) }

    @inline(__always)
    mutating func restoreBlocking() {
        guard nonBlockingSocket >= 0 else { return }
        shuttle_set_blocking(nonBlockingSocket, true)
        nonBlockingSocket = -1
    }
}
