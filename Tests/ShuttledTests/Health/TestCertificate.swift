// Owns a certificate of tests, which an authority of tests has signed, both until 2120.
//
// Made by `openssl ca -startdate 20200101000000Z -enddate 21200101000000Z`, with keys on the curve P-256.

import NIOSSL

/// For `good.example`.
enum TestCertificate {
    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBZTCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZzaHV0dGxl
        IHRlc3QgYXV0aG9yaXR5MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAw
        WjAhMR8wHQYDVQQDDBZzaHV0dGxlIHRlc3QgYXV0aG9yaXR5MFkwEwYHKoZIzj0C
        AQYIKoZIzj0DAQcDQgAEk32OrUGAwlJMdj5jXb0OjJoxha8xrJ2nUh7P9VrxAUWc
        xPSSYTulL97bUtwzyl+qTV8VmoywY8k9jaw6tOdMM6MyMDAwDwYDVR0TAQH/BAUw
        AwEB/zAdBgNVHQ4EFgQU/LTkG4ZLB+rmkXCre/Pq8XRwjFswCgYIKoZIzj0EAwID
        SAAwRQIhAKIM/kf/BL1Eu2cuDnOoXdBMwUrNTFD339+PLVFcHCQGAiAcd+k2MdhO
        vrea0VImosLhB398RA7PKF2tHvV85buOxA==
        -----END CERTIFICATE-----
        """

    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBjzCCATWgAwIBAgIBAzAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZzaHV0dGxl
        IHRlc3QgYXV0aG9yaXR5MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAw
        WjAXMRUwEwYDVQQDDAxnb29kLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMB
        BwNCAAQRQl5owDa0hHsJXW6MKr+Bptnhzk7TBHntibeMpr8DjU1HK+HuWps5lIVH
        9JiXnZ+Omx8nFMTlw9xGHv55T9hpo2YwZDAXBgNVHREEEDAOggxnb29kLmV4YW1w
        bGUwCQYDVR0TBAIwADAdBgNVHQ4EFgQUkc3EpqdURLAPk1ICKXcClqHprDwwHwYD
        VR0jBBgwFoAU/LTkG4ZLB+rmkXCre/Pq8XRwjFswCgYIKoZIzj0EAwIDSAAwRQIg
        QQDpDHDVPl7S7ge5yxvPnJ9wqvKzl/BvGpUUMtDvfh4CIQDmCWTRMcEvIKrkaN75
        1/VE0BinZPHDrX//PTA71OnksA==
        -----END CERTIFICATE-----
        """

    static let privateKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglkYWpKL+tM3vjDCd
        3mGr+1k55ZxPvIyPIv9jKIjBoQGhRANCAAQRQl5owDa0hHsJXW6MKr+Bptnhzk7T
        BHntibeMpr8DjU1HK+HuWps5lIVH9JiXnZ+Omx8nFMTlw9xGHv55T9hp
        -----END PRIVATE KEY-----
        """

    static func trustRoots() throws -> NIOSSLTrustRoots {
        .certificates([try NIOSSLCertificate(bytes: Array(authority.utf8), format: .pem)])
    }

    static func server() throws -> NIOSSLContext {
        let certificate = try NIOSSLCertificate(bytes: Array(certificate.utf8), format: .pem)
        let key = try NIOSSLPrivateKey(bytes: Array(privateKey.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(certificate)], privateKey: .privateKey(key)
            )
        )
    }
}
