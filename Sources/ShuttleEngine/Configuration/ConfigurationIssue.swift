// Owns the form in which something wrong with a configuration is reported, and the wording of issues that come in pairs.
// Leaves to others: finding them (ConfigurationValidator, shuttled/Configuration), and their line in a file.

/// One thing that is wrong with a configuration.
public struct ConfigurationIssue: Equatable, Sendable {
    /// Issues listed at most: more than a person mends at once, few enough that hostile input stays cheap to refuse.
    public static let countMax = 1000

    /// RFC 6901 JSON pointer into the document that was given. Of a field that is missing: where it should be.
    public var pointer: String
    /// Names the field, its value and the remedy, in one sentence.
    public var detail: String

    public init(pointer: String, detail: String) {
        self.pointer = pointer
        self.detail = detail
    }
}

extension ConfigurationIssue {
    /// A place where a service's listening address is stated.
    public struct AddressUse: Equatable, Sendable {
        /// JSON pointer of the `address` field.
        public var pointer: String
        /// Name of the service that listens there.
        public var service: String
        /// The address as it was given.
        public var address: String

        public init(pointer: String, service: String, address: String) {
            self.pointer = pointer
            self.service = service
            self.address = address
        }
    }

    /// The issue at `use`: it is the same address as the one at `other`. Both may be written differently.
    public static func sharedAddress(_ use: AddressUse, with other: AddressUse) -> ConfigurationIssue {
        let otherText = use.address == other.address ? "" : ", there written \(Quoted(other.address))"
        return ConfigurationIssue(
            pointer: use.pointer,
            detail: "\"address\" is \(Quoted(use.address)), which service \(Quoted(other.service)) listens on as well "
                + "(\(other.pointer)\(otherText)); give each service an address of its own"
        )
    }

    /// Both sides of an address that two services share: one issue at each, which names the other.
    public static func sharedAddresses(_ first: AddressUse, _ second: AddressUse) -> [ConfigurationIssue] {
        [sharedAddress(first, with: second), sharedAddress(second, with: first)]
    }
}
