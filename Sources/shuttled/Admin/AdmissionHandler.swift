// Owns when the admin endpoint accepts: not while every place is in use, and not at once again where accepting fails.
// Leaves to others: places (ConnectionTable), what becomes of a connection (ConnectionHandler).

import Glibc
import NIOCore

/// Sits on the listening channel and holds accepts back; clients then wait in the kernel's queue.
final class AdmissionHandler: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private let table: ConnectionTable
    private let limits: AdminLimits
    private var isReadHeld = false
    private var recheck: Scheduled<Void>?

    init(table: ConnectionTable, limits: AdminLimits) {
        self.table = table
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        table.onRoom = { bound.value.handler.readIfHeld(context: bound.value.context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        table.onRoom = nil
        recheck?.cancel()
        recheck = nil
    }

    func read(context: ChannelHandlerContext) {
        guard table.hasRoom(now: .now()) else {
            isReadHeld = true
            scheduleRecheck(context: context)
            return
        }
        isReadHeld = false
        context.read()
    }

    private func readIfHeld(context: ChannelHandlerContext) {
        if isReadHeld {
            read(context: context)
        }
    }

    /// A connection becomes expendable by doing nothing, which nobody reports.
    private func scheduleRecheck(context: ChannelHandlerContext) {
        guard recheck == nil else {
            return
        }
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        recheck = context.eventLoop.scheduleTask(in: limits.roomCheckInterval) {
            bound.value.handler.recheck = nil
            bound.value.handler.readIfHeld(context: bound.value.context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let code = (error as? IOError)?.errnoCode, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) else {
            // A client that left before it was accepted, mostly; what is fatal closes the channel by itself.
            return
        }
        // A descriptor that is of no use here is of use to whoever waits.
        let isOneFreed = table.evictOne(now: .now())
        // The socket stays readable and the channel would try again at once, for as long as the shortage lasts. Reading
        // is still asked for inside the channel, so holding back `read` would not do.
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        let channel = context.channel
        let pause = isOneFreed ? limits.roomCheckInterval : limits.acceptRetryInterval
        context.eventLoop.assumeIsolated().scheduleTask(in: pause) {
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}
