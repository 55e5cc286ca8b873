// Owns what a request is called in the log and in its answer: as its client calls it, where that can be printed.
// Leaves to others: logging (AdminServer).

import Hummingbird

enum RequestIdentifier {
    static let field = HTTPFields.Element.Name("X-Request-ID")!
    static let lengthMax = 64

    /// The client's own, or a new one where there is none, more than one, or one that could be mistaken for something else
    /// in a log line.
    static func of(_ request: HTTPRequest) -> String {
        let given = request.headerFields[values: field]
        if given.count == 1, isSane(given[0]) {
            return given[0]
        }
        return RequestID().description
    }

    static func isSane(_ text: String) -> Bool {
        (1...lengthMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }
}
